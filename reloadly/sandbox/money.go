package sandbox

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"
)

// money is an amount in micro units: six decimals, like Reloadly's balances.
type money int64

const (
	microsPerUnit = 1_000_000
	microsPer5th  = 10 // one unit of the fifth decimal, in micros
)

// parseMoney reads a plain or exponent-free decimal with at most six decimals.
func parseMoney(text string) (money, error) {
	bad := fmt.Errorf("sandbox: %q is not an amount", text)
	digits, negative := strings.CutPrefix(text, "-")
	whole, frac, dot := strings.Cut(digits, ".")
	if whole == "" || dot && frac == "" || !onlyDigits(whole) || !onlyDigits(frac) {
		return 0, bad
	}
	if frac = strings.TrimRight(frac, "0"); len(frac) > 6 {
		return 0, bad
	}
	micros, err := strconv.ParseInt(whole+frac+strings.Repeat("0", 6-len(frac)), 10, 64)
	if err != nil {
		return 0, bad
	}
	if negative {
		micros = -micros
	}
	return money(micros), nil
}

func mustMoney(text string) money {
	m, err := parseMoney(text)
	if err != nil {
		panic(err)
	}
	return m
}

// String is the plain decimal without trailing zeros.
func (m money) String() string {
	sign, n := "", uint64(m)
	if m < 0 {
		sign, n = "-", -uint64(m)
	}
	text := sign + strconv.FormatUint(n/microsPerUnit, 10)
	if frac := n % microsPerUnit; frac != 0 {
		text += "." + strings.TrimRight(fmt.Sprintf("%06d", frac), "0")
	}
	return text
}

// MarshalJSON writes a JSON number.
func (m money) MarshalJSON() ([]byte, error) { return []byte(m.String()), nil }

// twoDecimals is the form of the provider's messages: 100.00.
func (m money) twoDecimals() string { return m.rat().FloatString(2) }

func (m money) rat() *big.Rat { return big.NewRat(int64(m), microsPerUnit) }

// round5 rounds half up (away from zero) to five decimals. It saturates: the largest amount there is
// lies far above every bound of the catalogue.
func round5(r *big.Rat) money {
	n := roundHalfUp(new(big.Rat).Mul(r, big.NewRat(microsPerUnit/microsPer5th, 1)))
	n.Mul(n, big.NewInt(microsPer5th))
	if !n.IsInt64() {
		return money(math.MaxInt64)
	}
	return money(n.Int64())
}

func roundHalfUp(r *big.Rat) *big.Int {
	num := new(big.Int).Abs(r.Num())
	num.Add(num.Lsh(num, 1), r.Denom())
	num.Quo(num, new(big.Int).Lsh(r.Denom(), 1))
	if r.Sign() < 0 {
		num.Neg(num)
	}
	return num
}

// roundTo10 rounds a rate to ten decimals: what fx.rate shows is what the price is computed with.
func roundTo10(r *big.Rat) *big.Rat {
	scale := big.NewInt(10_000_000_000)
	n := roundHalfUp(new(big.Rat).Mul(r, new(big.Rat).SetInt(scale)))
	return new(big.Rat).SetFrac(n, scale)
}

func mustRat(text string) *big.Rat {
	r, ok := new(big.Rat).SetString(text)
	if !ok {
		panic("sandbox: bad number " + text)
	}
	return r
}

func onlyDigits(text string) bool {
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' {
			return false
		}
	}
	return true
}
