"""Who lives in the demo, in words: companies, freelancers, their trades, and what they say of themselves."""

from typing import NamedTuple


class Company(NamedTuple):
    """A client; its work is for `audience`, who buy `product` from a `business`."""

    owner: str
    name: str
    industry: str
    city: str
    people: int
    business: str
    product: str
    audience: str


class Trade(NamedTuple):
    """What a freelancer lives by: `fields` are the categories she offers in, best first; rates are dollars an hour."""

    titles: tuple[str, ...]
    fields: tuple[str, ...]
    skills: tuple[str, ...]
    rates: tuple[int, int]
    craft: str
    degree: str
    positions: tuple[str, ...]


class Freelancer(NamedTuple):
    """Somebody who works for others."""

    name: str
    city: str
    country: str
    languages: tuple[str, ...]
    trade: str


OWN_COMPANY = Company(
    "Clara Whitfield", "Tidewater Bookings", "Travel Technology", "Bristol, United Kingdom", 34,
    "booking platform", "sailing trips", "weekend sailors",
)  # fmt: skip
"""What client@demo.workup is."""

STAR = Freelancer("Felix Aranda", "Valencia", "Spain", ("Spanish", "English", "French"), "full-stack")
"""Who freelancer@demo.workup is."""

KEEPER = "Ada Marchetti"
"""Who admin@demo.workup is."""

COMPANIES = (
    Company("Ingrid Solberg", "Nordlys Interiors", "Furniture", "Bergen, Norway", 58,
            "furniture maker", "oak tables and chairs", "people furnishing their first home"),
    Company("Rohan Deshpande", "Kettle & Leaf", "Food & Beverage", "Pune, India", 120,
            "tea company", "single-estate teas", "people who love good tea"),
    Company("Marta Kowalska", "Zielony Rower", "Retail", "Kraków, Poland", 45,
            "bicycle retailer", "city bikes", "daily commuters"),
    Company("Daniel Osei", "Sankofa Health", "Healthcare", "Accra, Ghana", 210,
            "clinic network", "same-day appointments", "patients and their families"),
    Company("Hannah Lindqvist", "Brightpath Learning", "Education", "Gothenburg, Sweden", 72,
            "language school", "evening courses", "adults who learn after work"),
    Company("Tomás Ferreira", "Casa Atlântica", "Real Estate", "Porto, Portugal", 26,
            "letting agency", "furnished flats", "tenants who are new in town"),
    Company("Grace Nakamura", "Harbour Ledger", "Financial Services", "Vancouver, Canada", 64,
            "payments start-up", "invoices for small firms", "shop owners"),
    Company("Youssef Benali", "Atlas Freight", "Logistics", "Casablanca, Morocco", 340,
            "freight forwarder", "shared containers", "exporters"),
    Company("Charlotte Dubois", "Maison Verveine", "Cosmetics", "Lyon, France", 19,
            "skincare brand", "plant-based creams", "people with sensitive skin"),
    Company("Liam O'Sullivan", "Greenfield Energy", "Renewable Energy", "Cork, Ireland", 155,
            "solar installer", "rooftop solar panels", "home owners"),
    Company("Sofia Papadaki", "Meltemi Hotels", "Hospitality", "Heraklion, Greece", 480,
            "hotel group", "rooms by the sea", "families on holiday"),
    Company("Marcus Reed", "Stride Athletics", "Sports", "Austin, United States", 88,
            "sportswear brand", "running shoes", "runners of every age"),
    Company("Linh Tran", "Saigon Makers", "Manufacturing", "Ho Chi Minh City, Vietnam", 260,
            "packaging manufacturer", "recycled boxes", "buyers at consumer brands"),
    Company("Elena Petrova", "Clearwater Legal", "Legal Services", "Sofia, Bulgaria", 31,
            "law practice", "fixed-price contracts", "founders of young companies"),
)  # fmt: skip

BOTH = (
    (
        Company("Noah Bergström", "Bergström Studio", "Design", "Malmö, Sweden", 4,
                "design studio", "brand identities", "independent shops"),
        Freelancer("Noah Bergström", "Malmö", "Sweden", ("Swedish", "English", "Danish"), "product design"),
    ),
    (
        Company("Priya Raman", "Raman Analytics", "Consulting", "Chennai, India", 6,
                "data consultancy", "weekly sales reports", "regional managers"),
        Freelancer("Priya Raman", "Chennai", "India", ("Tamil", "English", "Hindi"), "data"),
    ),
    (
        Company("Jonas Weber", "Weber Digital", "Software", "Leipzig, Germany", 9,
                "web agency", "maintenance plans", "craft businesses"),
        Freelancer("Jonas Weber", "Leipzig", "Germany", ("German", "English"), "back-end"),
    ),
)  # fmt: skip
"""Those who hire and work."""

FREELANCERS = (
    Freelancer("Amara Okafor", "Lagos", "Nigeria", ("English", "Igbo"), "full-stack"),
    Freelancer("Mateo Quintero", "Medellín", "Colombia", ("Spanish", "English"), "full-stack"),
    Freelancer("Yuki Tanabe", "Osaka", "Japan", ("Japanese", "English"), "front-end"),
    Freelancer("Zuzana Novotná", "Brno", "Czechia", ("Czech", "English", "German"), "front-end"),
    Freelancer("Arjun Mehta", "Bengaluru", "India", ("English", "Hindi", "Gujarati"), "back-end"),
    Freelancer("Katarina Jovanović", "Novi Sad", "Serbia", ("Serbian", "English"), "back-end"),
    Freelancer("Bruno Carvalho", "Recife", "Brazil", ("Portuguese", "English"), "shop"),
    Freelancer("Selin Kaya", "Izmir", "Türkiye", ("Turkish", "English"), "mobile"),
    Freelancer("Kwame Boateng", "Kumasi", "Ghana", ("English", "Twi"), "mobile"),
    Freelancer("Mina Haddad", "Amman", "Jordan", ("Arabic", "English", "French"), "mobile"),
    Freelancer("Dmytro Shevchenko", "Lviv", "Ukraine", ("Ukrainian", "English", "Polish"), "machine learning"),
    Freelancer("Wei Lin Chua", "Singapore", "Singapore", ("English", "Mandarin"), "machine learning"),
    Freelancer("Isabel Moreau", "Montréal", "Canada", ("French", "English"), "data"),
    Freelancer("Samuel Kiprono", "Nairobi", "Kenya", ("English", "Swahili"), "cloud"),
    Freelancer("Andrei Popescu", "Cluj-Napoca", "Romania", ("Romanian", "English"), "cloud"),
    Freelancer("Leila Farhadi", "Toronto", "Canada", ("English", "Persian"), "product design"),
    Freelancer("Camila Rojas", "Santiago", "Chile", ("Spanish", "English"), "brand design"),
    Freelancer("Henrik Dahl", "Aarhus", "Denmark", ("Danish", "English", "German"), "architecture"),
    Freelancer("Olivia Hart", "Manchester", "United Kingdom", ("English",), "copy"),
    Freelancer("Thandiwe Mokoena", "Cape Town", "South Africa", ("English", "Xhosa", "Zulu"), "copy"),
    Freelancer("Peter Lindholm", "Helsinki", "Finland", ("Finnish", "English", "Swedish"), "technical writing"),
    Freelancer("Nadia Rahman", "Dhaka", "Bangladesh", ("Bengali", "English"), "marketing"),
    Freelancer("Ethan Brooks", "Denver", "United States", ("English", "Spanish"), "marketing"),
    Freelancer("Giulia Romano", "Bologna", "Italy", ("Italian", "English", "German"), "translation"),
    Freelancer("Aurélie Fontaine", "Nantes", "France", ("French", "English", "Spanish"), "translation"),
    Freelancer("Maria Santos", "Cebu City", "Philippines", ("English", "Tagalog", "Cebuano"), "accounting"),
    Freelancer("Stefan Krüger", "Vienna", "Austria", ("German", "English"), "accounting"),
    Freelancer("Rachel Goldberg", "Boston", "United States", ("English",), "law"),
    Freelancer("Joy Villanueva", "Davao", "Philippines", ("English", "Tagalog"), "assistance"),
    Freelancer("Ahmed El-Sayed", "Cairo", "Egypt", ("Arabic", "English"), "management"),
)

TRADES = {
    "full-stack": Trade(
        ("Full-stack developer, TypeScript and Python", "Full-stack engineer for React and Node.js",
         "Web and GraphQL developer"),
        ("Web Development", "Mobile Development", "DevOps & Cloud", "AI & Machine Learning"),
        ("TypeScript", "React", "Node.js", "Python", "GraphQL", "PostgreSQL", "Docker", "REST APIs"),
        (45, 95), "web applications", "BSc in Computer Science",
        ("Senior developer", "Full-stack developer", "Junior web developer")),
    "front-end": Trade(
        ("Front-end developer, React and accessibility", "Interface engineer"),
        ("Web Development", "Mobile Development", "Design & Creative"),
        ("JavaScript", "TypeScript", "React", "Vue.js", "CSS", "HTML", "Figma"),
        (40, 85), "interfaces", "BA in Interaction Design", ("Front-end lead", "Front-end developer")),
    "back-end": Trade(
        ("Back-end developer, Python and Postgres", "API developer, Django and FastAPI",
         "Software engineer, Go and Rust"),
        ("Web Development", "DevOps & Cloud", "Data & Analytics", "AI & Machine Learning"),
        ("Python", "Django", "FastAPI", "Go", "PostgreSQL", "Redis", "GraphQL", "Docker"),
        (50, 110), "APIs", "MSc in Software Engineering", ("Staff engineer", "Back-end developer")),
    "shop": Trade(
        ("WordPress and online-shop specialist",), ("Web Development", "Sales & Marketing", "Design & Creative"),
        ("WordPress", "PHP", "MySQL", "CSS", "HTML", "SEO"),
        (25, 50), "online shops", "Diploma in Web Technology", ("Web developer", "Shop manager")),
    "mobile": Trade(
        ("Mobile developer, Flutter and Kotlin", "iOS and Android developer", "React Native developer"),
        ("Mobile Development", "Web Development"),
        ("Flutter", "Swift", "Kotlin", "React Native", "Java", "REST APIs", "QA Testing"),
        (40, 90), "mobile apps", "BSc in Information Systems", ("Mobile lead", "Android developer")),
    "machine learning": Trade(
        ("Machine-learning engineer", "Applied scientist, language and vision"),
        ("AI & Machine Learning", "Data & Analytics"),
        ("Python", "Machine Learning", "Deep Learning", "PyTorch", "SQL", "Docker"),
        (60, 140), "machine learning", "MSc in Artificial Intelligence",
        ("Machine-learning engineer", "Data scientist")),
    "data": Trade(
        ("Data analyst, SQL and Tableau", "Analytics engineer"),
        ("Data & Analytics", "AI & Machine Learning", "Accounting & Finance"),
        ("SQL", "Data Analysis", "Data Engineering", "Tableau", "Power BI", "Python", "Excel"),
        (35, 80), "analytics", "BSc in Statistics", ("Analytics lead", "Data analyst")),
    "cloud": Trade(
        ("DevOps engineer, Kubernetes and Terraform", "Cloud and reliability engineer"),
        ("DevOps & Cloud", "Data & Analytics", "Web Development"),
        ("Kubernetes", "Terraform", "AWS", "Google Cloud", "Docker", "Linux", "Ansible"),
        (55, 120), "cloud platforms", "BSc in Computer Engineering", ("Reliability engineer", "Systems administrator")),
    "product design": Trade(
        ("Product designer for web and mobile", "UX designer and researcher"),
        ("Design & Creative", "Product & Project Management", "Mobile Development", "Engineering & Architecture"),
        ("Figma", "UI Design", "UX Research", "Adobe Illustrator", "HTML"),
        (45, 100), "product design", "MA in Interaction Design", ("Lead designer", "Product designer")),
    "brand design": Trade(
        ("Brand designer and illustrator",),
        ("Design & Creative", "Sales & Marketing", "Engineering & Architecture"),
        ("Logo Design", "Illustration", "Adobe Illustrator", "Adobe Photoshop", "Video Editing"),
        (30, 75), "visual identities", "BA in Graphic Design", ("Art director", "Graphic designer")),
    "architecture": Trade(
        ("Interior architect and visualiser",), ("Engineering & Architecture", "Design & Creative"),
        ("Interior Design", "Adobe Photoshop", "Illustration", "Project Management"),
        (40, 90), "interiors", "MArch in Architecture", ("Project architect", "Architectural assistant")),
    "copy": Trade(
        ("Copywriter for brands that care", "Content writer and editor"),
        ("Writing", "Sales & Marketing", "Customer Service"),
        ("Copywriting", "Content Strategy", "Editing", "SEO", "Email Marketing", "Proofreading"),
        (25, 70), "clear writing", "BA in Journalism", ("Senior copywriter", "Editor")),
    "technical writing": Trade(
        ("Technical writer for developers",), ("Writing", "Customer Service", "Product & Project Management"),
        ("Technical Writing", "Editing", "REST APIs", "GraphQL", "Proofreading"),
        (40, 85), "documentation", "MA in Technical Communication", ("Documentation lead", "Technical writer")),
    "marketing": Trade(
        ("Growth marketer, search and social", "Performance marketer"),
        ("Sales & Marketing", "Writing", "Data & Analytics"),
        ("Google Ads", "SEO", "Social Media", "Email Marketing", "Market Research", "Content Strategy"),
        (30, 80), "campaigns", "BSc in Marketing", ("Head of growth", "Campaign manager")),
    "translation": Trade(
        ("Translator, Italian and German to English", "Translator and localiser, French and Spanish"),
        ("Translation", "Writing", "Customer Service"),
        ("Italian", "German", "French", "Spanish", "Proofreading", "Transcription", "Editing"),
        (25, 55), "translation", "MA in Translation Studies", ("Staff translator", "Localisation specialist")),
    "accounting": Trade(
        ("Bookkeeper and payroll specialist", "Chartered accountant for small companies"),
        ("Accounting & Finance", "Admin Support", "Legal"),
        ("Accounting", "Bookkeeping", "Financial Modeling", "Excel"),
        (25, 75), "the books of small companies", "BSc in Accounting", ("Senior accountant", "Bookkeeper")),
    "law": Trade(
        ("Contract lawyer for technology companies",), ("Legal", "Writing", "Accounting & Finance"),
        ("Contract Law", "Editing", "Proofreading"),
        (80, 180), "contracts", "Juris Doctor", ("In-house counsel", "Associate")),
    "assistance": Trade(
        ("Virtual assistant and customer supporter",),
        ("Admin Support", "Customer Service", "Translation", "Accounting & Finance"),
        ("Virtual Assistance", "Customer Support", "Excel", "Transcription", "Community Management"),
        (12, 30), "getting things done for busy teams", "BA in Communication",
        ("Executive assistant", "Support agent")),
    "management": Trade(
        ("Product and project manager",),
        ("Product & Project Management", "Admin Support", "Customer Service", "Legal"),
        ("Product Management", "Project Management", "Market Research", "QA Testing"),
        (45, 110), "delivering on time", "MBA", ("Product manager", "Project coordinator")),
}  # fmt: skip

BIOS = (
    "I have worked on {craft} for {years} years, the last {few} of them on my own.",
    "{years} years of {craft}, for companies of five people and of five hundred.",
    "After {few} years in an agency I went independent, and {craft} is what I do.",
)
HABITS = (
    "I write down what we agreed, show something every week, and say early when a date is at risk.",
    "Small steps, each of which works; no surprises at the end.",
    "Clients come back because things still work when I am gone.",
    "I take two projects at a time, never three.",
)
HOURS = (
    "I work from {city} and overlap with both European and American mornings.",
    "Based in {city}, on calls when it helps and quiet when it does not.",
    "I live in {city}; most of my clients have never been here, and it has never mattered.",
)
ABOUT_COMPANY = (
    "{company} is a {business} in {city}. We are {people} people, and our {product} are made for {audience}.",
    "We are a {business} from {city}. {people} of us look after {audience} and sell {product}.",
    "For {audience} who want {product}: that is what {company} has stood for since we opened in {city}.",
)
SCHOOLS = ("University of {city}", "{city} Institute of Technology", "{city} School of Professional Studies")
EMPLOYERS = (
    "Larkfield",
    "Omnia Group",
    "Blue Cedar",
    "Fjord & Sons",
    "Quanta Works",
    "Helio",
    "Paperboat",
    "Northgate",
)
DUTIES = (
    "Responsible for {craft}, from the first talk with a customer to the day after launch.",
    "Part of a team of six; introduced {skill} and taught it to the others.",
    "Took over what was there, made it dependable, and handed it on with documentation.",
)
ACHIEVEMENTS = (
    ("Certified in {skill}", "An examination of four hours, passed at the first attempt."),
    ("Talk about {craft}", "Forty minutes on what went wrong and what we learnt, at a regional conference."),
    ("Mentor of the year", "Awarded by a local programme for people who change careers."),
)
