package main

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"example.com/topup/reloadly"
)

// checkSettings says what is set, and of a secret only that it is.
func (d *doctor) checkSettings(context.Context) finding {
	s := d.settings
	var missing []string
	if s.ClientID == "" {
		missing = append(missing, "RELOADLY_CLIENT_ID is not set (or its _FILE)")
	}
	if s.ClientSecret == "" {
		missing = append(missing, "RELOADLY_CLIENT_SECRET is not set (or its _FILE)")
	}
	if len(missing) == 0 && d.reloadly == nil {
		_, err := newProbing(s) // names what is wrong, never the secret
		missing = append(missing, err.Error())
	}
	if len(missing) > 0 {
		return found(fix, "%s", strings.Join(missing, "; "))
	}
	text := s.Environment + " environment"
	for _, other := range []struct{ name, url string }{{"RELOADLY_API_URL", s.APIURL}, {"RELOADLY_AUTH_URL", s.AuthURL}} {
		if u, err := url.Parse(other.url); err == nil && other.url != "" {
			text += ", " + other.name + " " + u.Scheme + "://" + u.Host
		}
	}
	text += ", client id and secret set, " + d.passwordText()
	if s.live() && (s.APIURL != "" || s.AuthURL != "") {
		return found(note, "%s: this is not Reloadly's own address", text)
	}
	return found(good, "%s", text)
}

func (d *doctor) passwordText() string {
	if d.address == nil || d.address.options.Password == "" {
		return "no Redis password"
	}
	return "Redis password set"
}

func (d *doctor) checkCredentials(ctx context.Context) finding {
	if d.reloadly == nil {
		return found(fix, "not tried: see settings")
	}
	err := d.reloadly.Ready(ctx)
	if err == nil {
		d.granted = true
		return found(good, "accepted for the %s environment", d.settings.Environment)
	}
	if provider, ok := errors.AsType[*reloadly.Error](err); ok && provider.Advice == reloadly.HoldAccount {
		return found(fix, "refused for the %s environment, and each environment has its own: take those of RELOADLY_ENV from Reloadly's dashboard (%v)", d.settings.Environment, err)
	}
	return found(fix, "Reloadly cannot be asked, try again: %v", cause(ctx, err))
}

// checkReloadlyClock reads the report too, on which every lost answer depends.
func (d *doctor) checkReloadlyClock(ctx context.Context) finding {
	before := time.Now()
	report, err := d.reloadly.FindByIdentifier(ctx, "topup-doctor")
	if err != nil {
		return found(fix, "the report cannot be read, without which no lost answer can be found: %v", cause(ctx, err))
	}
	if report.Date.IsZero() {
		return found(note, "Reloadly's answer has no Date")
	}
	// Date has whole seconds.
	return judgeClock("Reloadly", before, time.Now(), report.Date, report.Date.Add(time.Second))
}

func (d *doctor) checkBalance(ctx context.Context) finding {
	balance, err := d.reloadly.Balance(ctx)
	if err != nil {
		return found(fix, "it cannot be read: %v", cause(ctx, err))
	}
	text := fmt.Sprintf("%s %s", balance.Balance, balance.CurrencyCode)
	if !balance.Balance.IsPos() {
		return found(fix, "%s: no top-up can be paid, refill the account", text)
	}
	return found(good, "%s", text)
}

func (d *doctor) checkOperators(ctx context.Context) finding {
	operators, err := d.reloadly.Operators(ctx, reloadly.OperatorFilter{})
	if err != nil {
		return found(fix, "they cannot be read: %v", cause(ctx, err))
	}
	if len(operators) == 0 {
		return found(fix, "Reloadly offers none to this account: ask its support")
	}
	return found(good, "%d can be read", len(operators))
}
