package billing

// outsideVAT are the postcodes, by how they begin, of places that are not part of the
// territory of VAT of their state (Article 6 of Directive 2006/112/EC) and have no code
// of country of their own: the Canary Islands, Ceuta and Melilla, Heligoland and
// Büsingen, Livigno, and Mount Athos.
var outsideVAT = map[string][]string{
	"ES": {"35", "38", "51", "52"},
	"DE": {"27498", "78266"},
	"IT": {"23041"},
	"GR": {"63086", "63087"},
}

// reverseWords are the words of Article 226(11a) of Directive 2006/112/EC in the
// languages of the seller's country: the law of each asks for its own.
var reverseWords = map[string]string{
	"AT": "Übergang der Steuerschuld auf den Leistungsempfänger", "BE": "Autoliquidation / Btw verlegd", "BG": "обратно начисляване", "CY": "Αντίστροφη επιβάρυνση",
	"CZ": "daň odvede zákazník", "DE": "Steuerschuldnerschaft des Leistungsempfängers", "DK": "omvendt betalingspligt", "EE": "pöördmaksustamine",
	"ES": "inversión del sujeto pasivo", "FI": "käännetty verovelvollisuus", "FR": "Autoliquidation", "GR": "Αντίστροφη επιβάρυνση", "HR": "prijenos porezne obveze",
	"HU": "fordított adózás", "IT": "inversione contabile", "LT": "Atvirkštinis apmokestinimas", "LU": "Autoliquidation", "LV": "nodokļa apgrieztā maksāšana",
	"NL": "Btw verlegd", "PL": "odwrotne obciążenie", "PT": "Autoliquidação", "RO": "taxare inversă", "SE": "Omvänd betalningsskyldighet",
	"SI": "Obrnjena davčna obveznost", "SK": "prenesenie daňovej povinnosti",
}

func reverseCharge(seller string) string {
	if words := reverseWords[seller]; words != "" {
		return words + ". " + NoteReverse
	}
	return NoteReverse
}

// smallWords are what small businesses of a country must say.
var smallWords = map[string]string{
	"AT": "Umsatzsteuerfrei aufgrund der Kleinunternehmerregelung (§ 6 Abs. 1 Z 27 UStG).",
	"BE": "Régime particulier de franchise des petites entreprises / Bijzondere vrijstellingsregeling kleine ondernemingen.",
	"DE": "Gemäß § 19 UStG wird keine Umsatzsteuer berechnet.",
	"FR": "TVA non applicable, art. 293 B du CGI.",
	"IT": "Operazione in regime forfettario (art. 1, commi 54-89, L. 190/2014).",
	"LU": "TVA non applicable, article 57 de la loi TVA.",
	"NL": "Vrijgesteld van btw op grond van artikel 25 Wet op de omzetbelasting 1968 (KOR).",
}

func smallBusiness(seller string) string {
	if words := smallWords[seller]; words != "" {
		return words + " " + NoteSmallBusiness
	}
	return NoteSmallBusiness
}

// rateLaws are where the built-in standard rates stand in the law of each country.
var rateLaws = map[string]string{
	"AT": "§ 10 Abs. 1 UStG 1994", "BE": "arrêté royal n° 20 (TVA), art. 1", "BG": "чл. 66 ЗДДС", "HR": "čl. 38. Zakona o PDV-u", "CY": "N. 95(I)/2000", "CZ": "§ 47 zákona č. 235/2004 Sb.",
	"DK": "momsloven § 33", "EE": "KMS § 15", "FI": "AVL 84 §", "FR": "CGI art. 278", "DE": "§ 12 Abs. 1 UStG", "GR": "Code of VAT, standard rate", "HU": "Áfa tv. 82. §", "IE": "VATCA 2010 s. 46",
	"IT": "DPR 633/1972 art. 16", "LV": "PVN likums 41. pants", "LT": "PVMĮ 19 str.", "LU": "loi TVA art. 39", "MT": "VAT Act (Cap. 406) art. 19", "NL": "Wet OB 1968 art. 9", "PL": "ustawa o VAT art. 41 and 146ef",
	"PT": "CIVA art. 18.º", "RO": "Codul fiscal art. 291", "SK": "§ 27 zákona č. 222/2004 Z. z.", "SI": "ZDDV-1 41. člen", "ES": "Ley 37/1992 art. 90", "SE": "mervärdesskattelagen (2023:200) 9 kap.",
	"GB": "VATA 1994 s. 2", "CH": "Art. 25 MWSTG", "NO": "merverdiavgiftsloven § 5-1 and the yearly decision of the Storting",
}
