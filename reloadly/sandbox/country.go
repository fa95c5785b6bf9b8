package sandbox

import (
	"strconv"
	"strings"
)

// zeroRule is what a leading zero of a national number means.
type zeroRule int

const (
	zeroNone  zeroRule = iota // there is none: refused
	zeroTrunk                 // a trunk prefix: taken off
	zeroPart                  // belongs to the number
)

type country struct {
	iso, name              string
	currency, currencyName string
	symbol                 string
	calling                string
	zero                   zeroRule
	minDigits, maxDigits   int
	doubleZero             bool
	perUSD                 string // units of the currency for one US dollar
}

// countryLines: iso|name|currency|its name|symbol|calling code|zero rule|digits|00 understood|per USD.
// The rates are invented, but for those that the real operators of catalogue.go replace.
const countryLines = `AE|United Arab Emirates|AED|United Arab Emirates Dirham|AED|971|0|8-9|y|3.67
AF|Afghanistan|AFN|Afghan Afghani|Af|93|0|9|n|71.5
AR|Argentina|ARS|Argentine Peso|$|54|0|10-11|y|980.25
AU|Australia|AUD|Australian Dollar|$|61|0|9|n|1.49
BD|Bangladesh|BDT|Bangladeshi Taka|৳|880|0|10|y|117.4
BF|Burkina Faso|XOF|West African CFA Franc|CFA|226|-|8|n|505
BJ|Benin|XOF|West African CFA Franc|CFA|229|p|8-10|n|505
BO|Bolivia|BOB|Bolivian Boliviano|Bs|591|0|8|y|6.85
BR|Brazil|BRL|Brazilian Real|R$|55|0|10-11|n|5.31
CA|Canada|CAD|Canadian Dollar|$|1|-|10|n|1.36
CD|Congo, Democratic Republic|USD|US Dollar|$|243|0|9|y|1
CI|Cote d'Ivoire|XOF|West African CFA Franc|CFA|225|p|10|n|505
CL|Chile|CLP|Chilean Peso|$|56|-|9|n|930.1
CM|Cameroon|XAF|Central African CFA Franc|FCFA|237|-|9|y|505
CN|China|CNY|Chinese Yuan|¥|86|0|11|y|7.1
CO|Colombia|COP|Colombian Peso|$|57|-|10|n|2192.1867
CR|Costa Rica|CRC|Costa Rican Colon|₡|506|-|8|y|510.4
CU|Cuba|CUP|Cuban Peso|$|53|0|8|n|25.75
DE|Germany|EUR|Euro|€|49|0|10-11|y|0.91
DO|Dominican Republic|DOP|Dominican Peso|RD$|1|-|10|n|57.9
EC|Ecuador|USD|US Dollar|$|593|0|9|y|1
EG|Egypt|EGP|Egyptian Pound|E£|20|0|10|y|29.4117647059
ES|Spain|EUR|Euro|€|34|-|9|y|0.91
ET|Ethiopia|ETB|Ethiopian Birr|Br|251|0|9|y|56.2
FR|France|EUR|Euro|€|33|0|9|y|0.91
GB|United Kingdom|GBP|British Pound|£|44|0|10|y|0.86
GE|Georgia|GEL|Georgian Lari|₾|995|0|9|y|2.7
GH|Ghana|GHS|Ghanaian Cedi|GH₵|233|0|9|y|14.2
GM|Gambia|GMD|Gambian Dalasi|D|220|-|7|y|67.3
GN|Guinea|GNF|Guinean Franc|FG|224|-|9|y|8550
GT|Guatemala|GTQ|Guatemalan Quetzal|Q|502|-|8|y|7.7
HN|Honduras|HNL|Honduran Lempira|L|504|-|8|y|24.6
HT|Haiti|HTG|Haitian Gourde|G|509|-|8|y|131
ID|Indonesia|IDR|Indonesian Rupiah|Rp|62|0|9-12|y|15600
IN|India|INR|Indian Rupee|₹|91|0|10|y|82.4
IQ|Iraq|IQD|Iraqi Dinar|IQD|964|0|10|y|1300
JM|Jamaica|JMD|Jamaican Dollar|J$|1|-|10|n|154.8
KE|Kenya|KES|Kenyan Shilling|KSh|254|0|9|y|128.6
KH|Cambodia|KHR|Cambodian Riel|៛|855|0|8-9|y|4050
LK|Sri Lanka|LKR|Sri Lankan Rupee|Rs|94|0|9|y|298.5
LR|Liberia|USD|US Dollar|$|231|0|7-9|y|1
MA|Morocco|MAD|Moroccan Dirham|DH|212|0|9|y|9.9
MG|Madagascar|MGA|Malagasy Ariary|Ar|261|0|9|y|4480
ML|Mali|XOF|West African CFA Franc|CFA|223|-|8|n|505
MX|Mexico|MXN|Mexican Peso|$|52|-|10|y|17.2
MY|Malaysia|MYR|Malaysian Ringgit|RM|60|0|9-10|y|4.6
NE|Niger|XOF|West African CFA Franc|CFA|227|-|8|n|505.427002
NG|Nigeria|NGN|Nigerian Naira|₦|234|0|10|y|545
NI|Nicaragua|NIO|Nicaraguan Cordoba|C$|505|-|8|y|36.5
NP|Nepal|NPR|Nepalese Rupee|Rs|977|0|10|y|132.7
PE|Peru|PEN|Peruvian Sol|S/|51|-|9|y|3.69
PH|Philippines|PHP|Philippine Peso|₱|63|0|10|y|55.8
PK|Pakistan|PKR|Pakistani Rupee|Rs|92|0|10|y|277.4
PT|Portugal|EUR|Euro|€|351|-|9|y|0.91
RW|Rwanda|RWF|Rwandan Franc|FRw|250|0|9|y|1290
SN|Senegal|XOF|West African CFA Franc|CFA|221|-|9|y|505
SV|El Salvador|USD|US Dollar|$|503|-|8|y|1
TG|Togo|XOF|West African CFA Franc|CFA|228|-|8|n|505
TH|Thailand|THB|Thai Baht|฿|66|0|9|y|24.39
TR|Turkey|TRY|Turkish Lira|₺|90|0|10|y|32.2
TZ|Tanzania|TZS|Tanzanian Shilling|TSh|255|0|9|y|2510
UG|Uganda|UGX|Ugandan Shilling|USh|256|0|9|y|3700
US|United States|USD|US Dollar|$|1|-|10|n|1
VN|Vietnam|VND|Vietnamese Dong|₫|84|0|9|y|24600
ZA|South Africa|ZAR|South African Rand|R|27|0|9|y|18.3
ZM|Zambia|ZMW|Zambian Kwacha|ZK|260|0|9|y|25.1`

// countries is the table, ordered by code.
var countries = parseCountries()

func parseCountries() []country {
	var list []country
	for line := range strings.SplitSeq(countryLines, "\n") {
		f := strings.Split(line, "|")
		c := country{
			iso: f[0], name: f[1], currency: f[2], currencyName: f[3], symbol: f[4], calling: f[5],
			doubleZero: f[8] == "y", perUSD: f[9],
		}
		switch f[6] {
		case "0":
			c.zero = zeroTrunk
		case "p":
			c.zero = zeroPart
		}
		low, high, ranged := strings.Cut(f[7], "-")
		if !ranged {
			high = low
		}
		c.minDigits, _ = strconv.Atoi(low)
		c.maxDigits, _ = strconv.Atoi(high)
		list = append(list, c)
	}
	return list
}

func countryOf(iso string) *country {
	for i := range countries {
		if strings.EqualFold(countries[i].iso, iso) {
			return &countries[i]
		}
	}
	return nil
}

// symbolOf is the symbol of a currency.
func symbolOf(currency string) string {
	if currency == "USD" {
		return "$"
	}
	for i := range countries {
		if countries[i].currency == currency {
			return countries[i].symbol
		}
	}
	return currency
}
