package demo

import "github.com/ezscale/ezscale/branding"

// business is one reseller of the demo, with everything it begins with.
type business struct {
	slug, name, currency, locale, timeZone string
	about                                  string // for the guide
	tier                                   string // of the wholesale price book
	seller                                 seller
	owner                                  person
	customers                              []person
	brand                                  branding.Content
	logo, logoDark                         string // SVG
	favicon                                string
	products                               []product
}

type person struct{ name, email, password string }

type product struct {
	slug, kind, name, summary string
	plans                     []plan
}

type plan struct {
	slug, name, summary string
	facts               [][2]string
	recommended         bool
	prices              []price
	sku                 string // empty: the team delivers it, and no platform
}

// price is in minor units; euros and dollars have a hundred.
type price struct {
	currency string
	monthly  int64
	setup    int64
}

// staff works at the console.
var staff = person{"Mara Lindqvist", "mara@ezscale.test", "copper lantern harbour"}

// cast is who is in the demo; the first is tenant number one.
func cast() []business { return []business{ezscale(), nimbus(), pixelforge()} }

func ezscale() business {
	return business{
		slug: "ezscale", name: "EZSCALE", currency: "EUR", locale: "en", timeZone: "Europe/Berlin",
		tier:      "house",
		seller:    seller{"EZSCALE GmbH", "Demo Street 1", "10115", "Berlin", "DE", "DE123456788", "DE02120300000000202051", "BYLADEM1001"},
		about:     "EZSCALE's own retail shop: tenant number one, same code",
		owner:     person{"Jonas Weber", "jonas@ezscale.test", "quiet river stones"},
		customers: []person{{"Ines Moreau", "ines@moreau.test", "paper boat sailing"}},
		logo:      logoScale, logoDark: logoScaleDark, favicon: iconScale,
		brand: branding.Content{
			Theme:  "base",
			Tokens: branding.Tokens{Brand: "#1f5fbf", Font: "system", Radius: "medium", Scheme: "auto"},
			Texts: branding.Texts{
				Headline: "Servers without the small print",
				Subline:  "Virtual and dedicated machines in Frankfurt and Helsinki. You pay for what runs, and you can see it run.",
				Facts:    []branding.Fact{{Label: "Locations", Value: "Frankfurt, Helsinki"}, {Label: "Network", Value: "10 Gbit/s a host"}, {Label: "Smallest term", Value: "One hour"}},
				Questions: []branding.Question{
					{Question: "How long does a server take?", Answer: "A virtual server is usually there within a minute. A dedicated one takes up to a working day."},
					{Question: "Can I move up later?", Answer: "Yes. You see the exact price of the change before you confirm it."},
				},
				SenderName: "EZSCALE", SupportEmail: "help@ezscale.test", MailFooter: "EZSCALE · Demo Street 1 · 10115 Berlin",
				Imprint: "# Imprint\n\nEZSCALE demo company, Demo Street 1, 10115 Berlin.", Terms: "# Terms\n\nThis is a demo. Nothing here is sold.", Privacy: "# Privacy\n\nThis demo keeps what you type on this machine only.",
			},
		},
		products: []product{
			{"cloud-servers", "vps", "Cloud servers", "Virtual servers on fast local disks, ready in a minute.", []plan{
				{"s", "S", "For a site and its database.", facts("2 vCPU", "4 GB", "80 GB NVMe", "20 TB"), false, eur(590), "vps-2"},
				{"m", "M", "For a shop or a team.", facts("4 vCPU", "8 GB", "160 GB NVMe", "20 TB"), true, eur(1190), "vps-4"},
				{"l", "L", "For work that grows.", facts("8 vCPU", "16 GB", "320 GB NVMe", "20 TB"), false, eur(2290), "vps-8"},
			}},
			{"dedicated", "dedicated", "Dedicated servers", "A whole machine, yours alone.", []plan{
				{"ax", "AX", "Eight cores for steady load.", facts("Ryzen, 8 cores", "64 GB", "2 × 1 TB NVMe", "Unmetered"), false, []price{{"EUR", 5900, 3900}}, ""},
				{"ex", "EX", "Sixteen cores for databases.", facts("EPYC, 16 cores", "128 GB ECC", "2 × 2 TB NVMe", "Unmetered"), true, []price{{"EUR", 11900, 5900}}, ""},
			}},
			{"vpn", "vpn_server", "Private VPN", "A VPN server of your own, for you and your team.", []plan{
				{"solo", "Solo", "You, wherever you are.", [][2]string{{"Devices", "5"}, {"Protocol", "WireGuard"}, {"Traffic", "2 TB"}}, true, eur(390), ""},
				{"office", "Office", "One network for everybody.", [][2]string{{"Devices", "50"}, {"Protocol", "WireGuard"}, {"Traffic", "10 TB"}}, false, eur(1490), ""},
			}},
			{"licences", "license", "Panel licence", "For the control panel on a server you have.", []plan{
				{"admin", "Admin", "Ten sites on one server.", [][2]string{{"Sites", "10"}, {"Servers", "1"}}, false, eur(990), ""},
				{"pro", "Pro", "As many sites as it carries.", [][2]string{{"Sites", "Unlimited"}, {"Servers", "1"}}, true, eur(1690), ""},
			}},
		},
	}
}

func nimbus() business {
	return business{
		slug: "nimbus", name: "Nimbus Cloud", currency: "USD", locale: "en", timeZone: "America/New_York",
		tier:   "growth",
		seller: seller{"Nimbus Cloud Inc.", "12 Harbor Lane", "10004", "New York", "US", "", "US00DEMO0000000000", "DEMOUS33"},
		about:  "A cloud host; theme Aurora, prices in dollars and euros",
		owner:  person{"Anna Reyes", "anna@nimbus.test", "seven slow clouds"},
		customers: []person{
			{"Priya Nair", "priya@brightbooks.test", "orange notebook lid"},
			{"Tom Fields", "tom@fieldsandco.test", "garden gate hinges"},
		},
		logo: logoNimbus, logoDark: logoNimbusDark, favicon: iconNimbus,
		brand: branding.Content{
			Theme:  "aurora",
			Tokens: branding.Tokens{Brand: "#0f766e", Accent: "#7c3aed", Font: "geometric", Radius: "large", Scheme: "auto"},
			Texts: branding.Texts{
				Headline: "A calm place for your servers",
				Subline:  "Cloud servers, desktops and web hosting from a team that answers. Pick a size, change it whenever you like.",
				Facts:    []branding.Fact{{Label: "Regions", Value: "New York, Amsterdam, Singapore"}, {Label: "Backups", Value: "Daily, kept 14 days"}, {Label: "Support", Value: "People, around the clock"}},
				Questions: []branding.Question{
					{Question: "Do you move my site for me?", Answer: "Yes, for web hosting and for one server of any size. Tell us where it is now."},
					{Question: "Is there a setup fee?", Answer: "No. The first invoice is the first month."},
					{Question: "What happens when I cancel?", Answer: "The service runs to the end of what is paid. Backups stay for another seven days."},
				},
				SenderName: "Nimbus Cloud", SupportEmail: "help@nimbus.test", MailFooter: "Nimbus Cloud · 12 Harbor Lane · New York",
				Imprint: "# About\n\nNimbus Cloud demo company, 12 Harbor Lane, New York.", Terms: "# Terms\n\nThis is a demo. Nothing here is sold.", Privacy: "# Privacy\n\nThis demo keeps what you type on this machine only.",
			},
		},
		products: []product{
			{"cloud-vps", "vps", "Cloud VPS", "Virtual servers that resize without moving.", []plan{
				{"breeze", "Breeze", "A first server.", facts("1 vCPU", "2 GB", "40 GB NVMe", "2 TB"), false, usdEUR(500, 480), "vps-1"},
				{"drift", "Drift", "For a busy site.", facts("2 vCPU", "4 GB", "80 GB NVMe", "4 TB"), true, usdEUR(1200, 1120), "vps-2"},
				{"gale", "Gale", "For many of them.", facts("4 vCPU", "8 GB", "160 GB NVMe", "6 TB"), false, usdEUR(2400, 2240), "vps-4"},
				{"storm", "Storm", "For heavy work.", facts("8 vCPU", "16 GB", "320 GB NVMe", "8 TB"), false, usdEUR(4800, 4480), "vps-8"},
			}},
			{"web-hosting", "web_hosting", "Web hosting", "Sites, mail and databases, looked after for you.", []plan{
				{"one", "One site", "For a page that should just be there.", [][2]string{{"Sites", "1"}, {"Storage", "10 GB"}, {"Mailboxes", "5"}}, false, usdEUR(300, 290), ""},
				{"many", "Many sites", "For agencies and tinkerers.", [][2]string{{"Sites", "25"}, {"Storage", "100 GB"}, {"Mailboxes", "50"}}, true, usdEUR(900, 850), ""},
			}},
			{"desktops", "cloud_desktop", "Cloud desktops", "A workplace in the browser, for each of your team.", []plan{
				{"seat", "Seat", "Office work.", facts("2 vCPU", "8 GB", "60 GB", "Included"), false, usdEUR(1900, 1790), ""},
				{"studio", "Studio", "With a graphics card.", facts("8 vCPU", "32 GB", "250 GB", "Included"), true, usdEUR(7900, 7400), ""},
			}},
		},
	}
}

func pixelforge() business {
	return business{
		slug: "pixelforge", name: "PixelForge", currency: "GBP", locale: "en-GB", timeZone: "Europe/London",
		tier:   "starter",
		seller: seller{"PixelForge Ltd", "3 Foundry Row", "E1 6AN", "London", "GB", "GB123456789", "GB33BUKB20201555555555", "BUKBGB22"},
		about:  "A game server host; theme Forge, prices in pounds and euros",
		owner:  person{"Leo Hart", "leo@pixelforge.test", "hammer meets anvil"},
		customers: []person{
			{"Casey Doyle", "casey@northguild.test", "twelve red dragons"},
			{"Mina Sato", "mina@latenightlan.test", "neon ramen counter"},
			{"Ayla Demir", "ayla@demirmods.test", "copper kettle morning"},
		},
		logo: logoForge, logoDark: logoForgeDark, favicon: iconForge,
		brand: branding.Content{
			Theme:  "forge",
			Tokens: branding.Tokens{Brand: "#ea580c", Accent: "#22d3ee", Font: "grotesque", Radius: "none", Scheme: "dark"},
			Texts: branding.Texts{
				Headline: "Your world, always on",
				Subline:  "Game servers on overclocked cores, with mods in one click and your friends in the same minute.",
				Facts:    []branding.Fact{{Label: "Cores", Value: "5.7 GHz, never shared"}, {Label: "Locations", Value: "London, Dallas, Tokyo"}, {Label: "Start", Value: "Under a minute"}},
				Questions: []branding.Question{
					{Question: "Can I switch games?", Answer: "Any time, on the same plan. Each game keeps its own world and its own backups."},
					{Question: "Do you protect against attacks?", Answer: "Yes, on every plan, filtered close to where the attack begins."},
				},
				SenderName: "PixelForge", SupportEmail: "crew@pixelforge.test", MailFooter: "PixelForge · 3 Foundry Row · London",
				Imprint: "# Imprint\n\nPixelForge demo company, 3 Foundry Row, London.", Terms: "# Terms\n\nThis is a demo. Nothing here is sold.", Privacy: "# Privacy\n\nThis demo keeps what you type on this machine only.",
			},
		},
		products: []product{
			{"block-worlds", "game_server", "Block worlds", "For survival, creative and modded worlds.", []plan{
				{"hearth", "Hearth", "You and a few friends.", [][2]string{{"Players", "8"}, {"Memory", "4 GB"}, {"Backups", "3"}}, false, gbpEUR(600, 700), ""},
				{"guild", "Guild", "A lively server.", [][2]string{{"Players", "30"}, {"Memory", "10 GB"}, {"Backups", "7"}}, true, gbpEUR(1400, 1650), ""},
				{"citadel", "Citadel", "Mods, maps and crowds.", [][2]string{{"Players", "100"}, {"Memory", "24 GB"}, {"Backups", "14"}}, false, gbpEUR(3200, 3750), ""},
			}},
			{"survival", "game_server", "Survival islands", "Big maps that never sleep.", []plan{
				{"camp", "Camp", "A small tribe.", [][2]string{{"Players", "20"}, {"Memory", "12 GB"}, {"Backups", "7"}}, false, gbpEUR(1600, 1900), ""},
				{"fort", "Fort", "A whole cluster.", [][2]string{{"Players", "70"}, {"Memory", "32 GB"}, {"Backups", "14"}}, true, gbpEUR(3900, 4500), ""},
			}},
			{"build-servers", "vps", "Build servers", "Plain virtual servers, for bots, mods and whatever you forge.", []plan{
				{"anvil", "Anvil", "A bot and its friends.", facts("1 vCPU", "2 GB", "40 GB NVMe", "2 TB"), false, gbpEUR(490, 580), "vps-1"},
				{"bellows", "Bellows", "Builds and backups.", facts("2 vCPU", "4 GB", "80 GB NVMe", "4 TB"), true, gbpEUR(950, 1120), "vps-2"},
				{"furnace", "Furnace", "For the whole guild.", facts("4 vCPU", "8 GB", "160 GB NVMe", "6 TB"), false, gbpEUR(1850, 2180), "vps-4"},
			}},
			{"voice", "generic", "Voice rooms", "Low latency voice for the crew.", []plan{
				{"crew", "Crew", "Up to 50 at once.", [][2]string{{"Slots", "50"}, {"Quality", "96 kHz"}}, false, gbpEUR(400, 480), ""},
			}},
		},
	}
}

func facts(cpu, memory, disk, traffic string) [][2]string {
	return [][2]string{{"CPU", cpu}, {"Memory", memory}, {"Disk", disk}, {"Traffic", traffic}}
}

func eur(monthly int64) []price { return []price{{"EUR", monthly, 0}} }

func usdEUR(dollars, euros int64) []price { return []price{{"USD", dollars, 0}, {"EUR", euros, 0}} }

func gbpEUR(pounds, euros int64) []price { return []price{{"GBP", pounds, 0}, {"EUR", euros, 0}} }
