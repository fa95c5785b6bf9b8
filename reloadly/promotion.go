package reloadly

import (
	"context"
	"encoding/json"
	"fmt"
)

// Promotion is an operator's offer, for people to read.
type Promotion struct {
	ID                 int64  `json:"promotionId"` // also comes as id
	OperatorID         int64  `json:"operatorId"`
	Title              string `json:"title"`
	Title2             string `json:"title2"`
	Description        string `json:"description"` // HTML
	StartDate          string `json:"startDate"`
	EndDate            string `json:"endDate"`
	Denominations      string `json:"denominations"`
	LocalDenominations string `json:"localDenominations"`
}

// UnmarshalJSON takes every field as text, and the id under either name.
func (p *Promotion) UnmarshalJSON(b []byte) error {
	var wire struct {
		ID                 wireID   `json:"id"`
		PromotionID        wireID   `json:"promotionId"`
		OperatorID         wireID   `json:"operatorId"`
		Title              wireText `json:"title"`
		Title2             wireText `json:"title2"`
		Description        wireText `json:"description"`
		StartDate          wireText `json:"startDate"`
		EndDate            wireText `json:"endDate"`
		Denominations      wireText `json:"denominations"`
		LocalDenominations wireText `json:"localDenominations"`
	}
	if err := json.Unmarshal(b, &wire); err != nil {
		return err
	}
	*p = Promotion{
		ID: int64(max(wire.ID, wire.PromotionID)), OperatorID: int64(wire.OperatorID),
		Title: wire.Title.text, Title2: wire.Title2.text, Description: wire.Description.text,
		StartDate: wire.StartDate.text, EndDate: wire.EndDate.text,
		Denominations: wire.Denominations.text, LocalDenominations: wire.LocalDenominations.text,
	}
	return nil
}

const (
	opPromotions      = "promotions"
	promotionPageSize = 200
)

// Promotions reads all promotions.
func (c *Client) Promotions(ctx context.Context) ([]Promotion, error) {
	return all[Promotion](ctx, c, opPromotions, "/promotions", nil, promotionPageSize)
}

// Promotion reads one promotion.
func (c *Client) Promotion(ctx context.Context, id int64) (*Promotion, error) {
	var p Promotion
	if _, err := c.get(ctx, "promotion", fmt.Sprintf("/promotions/%d", id), nil, into(&p)); err != nil {
		return nil, err
	}
	return &p, nil
}

// PromotionsByCountry reads the promotions of a country, by its two-letter ISO code.
func (c *Client) PromotionsByCountry(ctx context.Context, iso string) ([]Promotion, error) {
	if iso == "" {
		return nil, invalidRequest(opPromotions, "country code is missing")
	}
	return all[Promotion](ctx, c, opPromotions, "/promotions/country-codes/"+segment(iso), nil, promotionPageSize)
}

// PromotionsByOperator reads the promotions of an operator.
func (c *Client) PromotionsByOperator(ctx context.Context, operatorID int64) ([]Promotion, error) {
	return all[Promotion](ctx, c, opPromotions, fmt.Sprintf("/promotions/operators/%d", operatorID), nil, promotionPageSize)
}
