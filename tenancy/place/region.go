package place

import (
	"slices"
	"strings"
)

// regions are the parts of countries in which tax differs, by the second part of their
// ISO 3166-2 code: states of the United States with the District of Columbia and the
// territories, provinces and territories of Canada, states and union territories of India.
var regions = map[string]string{
	"US": "AL Alabama|AK Alaska|AZ Arizona|AR Arkansas|CA California|CO Colorado|CT Connecticut|DE Delaware|DC District of Columbia|FL Florida|GA Georgia|HI Hawaii|ID Idaho|IL Illinois|IN Indiana|IA Iowa|KS Kansas|KY Kentucky|LA Louisiana|ME Maine|MD Maryland|MA Massachusetts|MI Michigan|MN Minnesota|MS Mississippi|MO Missouri|MT Montana|NE Nebraska|NV Nevada|NH New Hampshire|NJ New Jersey|NM New Mexico|NY New York|NC North Carolina|ND North Dakota|OH Ohio|OK Oklahoma|OR Oregon|PA Pennsylvania|RI Rhode Island|SC South Carolina|SD South Dakota|TN Tennessee|TX Texas|UT Utah|VT Vermont|VA Virginia|WA Washington|WV West Virginia|WI Wisconsin|WY Wyoming|AS American Samoa|GU Guam|MP Northern Mariana Islands|PR Puerto Rico|VI U.S. Virgin Islands",
	"CA": "AB Alberta|BC British Columbia|MB Manitoba|NB New Brunswick|NL Newfoundland and Labrador|NS Nova Scotia|NT Northwest Territories|NU Nunavut|ON Ontario|PE Prince Edward Island|QC Quebec|SK Saskatchewan|YT Yukon",
	"IN": "AN Andaman and Nicobar Islands|AP Andhra Pradesh|AR Arunachal Pradesh|AS Assam|BR Bihar|CH Chandigarh|CG Chhattisgarh|DH Dadra and Nagar Haveli and Daman and Diu|DL Delhi|GA Goa|GJ Gujarat|HR Haryana|HP Himachal Pradesh|JK Jammu and Kashmir|JH Jharkhand|KA Karnataka|KL Kerala|LA Ladakh|LD Lakshadweep|MP Madhya Pradesh|MH Maharashtra|MN Manipur|ML Meghalaya|MZ Mizoram|NL Nagaland|OD Odisha|PY Puducherry|PB Punjab|RJ Rajasthan|SK Sikkim|TN Tamil Nadu|TS Telangana|TR Tripura|UP Uttar Pradesh|UK Uttarakhand|WB West Bengal",
}

// Regions are the regions of a country whose addresses need one, by name; nil of any other.
func Regions(country string) []Choice {
	list, known := regions[country]
	if !known {
		return nil
	}
	var all []Choice
	for _, r := range strings.Split(list, "|") {
		code, name, _ := strings.Cut(r, " ")
		all = append(all, Choice{code, name})
	}
	return all
}

// NeedsRegion reports whether an address of a country is not whole without its region.
func NeedsRegion(country string) bool { return regions[country] != "" }

// RegionCode reads a region of a country as people write it: its code, with or without the
// country's, or its name. It reports false for what is none, and of countries without
// regions.
func RegionCode(country, typed string) (string, bool) {
	typed = strings.TrimSpace(typed)
	short := strings.TrimPrefix(strings.ToUpper(typed), country+"-")
	all := Regions(country)
	i := slices.IndexFunc(all, func(c Choice) bool { return c.Value == short || strings.EqualFold(c.Label, typed) })
	if i < 0 {
		return "", false
	}
	return all[i].Value, true
}

// RegionName is a region in English; what is none stays as it is.
func RegionName(country, code string) string {
	for _, c := range Regions(country) {
		if c.Value == code {
			return c.Label
		}
	}
	return code
}
