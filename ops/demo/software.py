"""What is built with code in the demo: projects, and the steps in which they are done."""

from typing import NamedTuple


class Project(NamedTuple):
    """Work that some client may want; `{business}`, `{product}` and `{audience}` are the client's own."""

    title: str
    subject: str
    brief: str
    needs: tuple[str, ...]
    skills: tuple[str, ...]
    dollars: tuple[int, int]


class Field(NamedTuple):
    """A category of the catalogue: how many jobs in a hundred are of it, what an hour costs, how work proceeds."""

    share: int
    rates: tuple[int, int]
    steps: tuple[str, ...]
    projects: tuple[Project, ...]


WEB = Field(
    19, (35, 90),
    ("Plan, data model and a first page that works", "The main pages, behind a test address",
     "Forms, search and the details in between", "Tests, accessibility and speed",
     "Launch, handover and two weeks of care"),
    (
        Project("New storefront in React for a {business}", "the storefront",
                "Our shop for {product} is slow on phones and hard to change. The API stays; the front is to be new.",
                ("a product page that loads in under two seconds on a phone", "a checkout in three steps",
                 "search that forgives typing mistakes"),
                ("React", "TypeScript", "GraphQL", "CSS"), (4_000, 12_000)),
        Project("GraphQL API in front of our old systems ({business})", "the GraphQL API",
                "Three systems know something about {product}. We want one API that our site and our app can ask.",
                ("one schema over three sources", "answers within 200 ms under load",
                 "clear rules about who sees what"),
                ("GraphQL", "Python", "PostgreSQL", "Redis"), (6_000, 16_000)),
        Project("Customer portal where {audience} manage their orders", "the customer portal",
                "Today {audience} write emails to change an order. They should see and change everything themselves.",
                ("sign-in without passwords", "order history with invoices", "a screen for our support team"),
                ("Django", "Python", "PostgreSQL", "HTML"), (5_000, 14_000)),
        Project("Move our WordPress site about {product} to a new theme", "the site",
                "The theme of our site is no longer maintained, and every update breaks something.",
                ("the same content at the same addresses", "a page builder our marketing people can use",
                 "nothing that tracks visitors without asking"),
                ("WordPress", "PHP", "CSS", "MySQL"), (900, 3_500)),
        Project("Booking calendar with live availability for {product}", "the booking calendar",
                "Double bookings cost us money every week. We need a calendar that is right to the second.",
                ("two bookings at once that can never both succeed", "reminders by email and text message",
                 "a week view that is usable on a phone"),
                ("Node.js", "TypeScript", "Vue.js", "PostgreSQL"), (3_500, 9_000)),
        Project("Make the website of a {business} accessible (WCAG 2.2 AA)", "the accessibility work",
                "An audit found 64 problems on our site. We want them fixed, and a way to keep them fixed.",
                ("every finding of the audit fixed and shown", "keyboard use of all menus and dialogs",
                 "automatic checks in our pipeline"),
                ("HTML", "CSS", "JavaScript", "QA Testing"), (2_000, 6_000)),
        Project("Internal dashboard for the team behind {product}", "the dashboard",
                "Our people keep six spreadsheets open to see how a day is going. One screen should do.",
                ("figures no older than a minute", "filters that can be shared as a link",
                 "roles for three departments"),
                ("Angular", "TypeScript", "REST APIs", "SQL"), (3_000, 8_500)),
        Project("Rescue a Ruby on Rails application of a {business}", "the Rails application",
                "The developer who wrote our order system has left. It runs, but nobody dares to touch it.",
                ("an upgrade to a version that gets security fixes", "tests around the parts that earn money",
                 "notes that a new developer can start from"),
                ("Ruby on Rails", "PostgreSQL", "Docker", "Linux"), (4_000, 11_000)),
    ),
)  # fmt: skip

MOBILE = Field(
    10, (35, 85),
    ("Clickable prototype and technical plan", "The first three screens on a real phone",
     "All screens, with the server connected", "Working without network, and tests on ten devices",
     "Release in both stores"),
    (
        Project("Flutter app for {audience}", "the app",
                "{audience} ask for an app every week. It should do what our site does, and work without network.",
                ("sign-in that survives a lost connection", "push messages that people do not switch off",
                 "one code base for both stores"),
                ("Flutter", "REST APIs", "UI Design"), (6_000, 18_000)),
        Project("Rewrite the iOS app of a {business} in Swift", "the iOS app",
                "Our app is from 2017 and crashes on new phones. We want it small, native and calm.",
                ("a start in under a second", "widgets for the home screen", "VoiceOver on every screen"),
                ("Swift", "UI Design", "REST APIs"), (8_000, 20_000)),
        Project("Android app in Kotlin for our field staff ({business})", "the Android app",
                "Forty colleagues are on the road all day. They need their jobs, maps and forms on one device.",
                ("photos that upload when there is a signal", "forms defined by the office",
                 "a battery that lasts a working day"),
                ("Kotlin", "Java", "REST APIs"), (7_000, 16_000)),
        Project("React Native: add payments and receipts for {product}", "the payment screens",
                "Our app shows {product} but cannot sell them. Payments with cards and wallets come next.",
                ("card and wallet payments", "receipts that can be shared", "tests of every way a payment can fail"),
                ("React Native", "TypeScript", "Node.js"), (3_000, 8_000)),
        Project("Test our app for {product} on thirty devices", "the test round",
                "Before the next release we want strangers' eyes on the app: slow phones, old systems, bad networks.",
                ("a report with steps to repeat each finding", "videos of every crash",
                 "automatic tests for the ten worst findings"),
                ("QA Testing", "Kotlin", "Swift"), (1_200, 4_000)),
        Project("Loyalty feature in our app for {audience}", "the loyalty feature",
                "Stamp cards are lost and forgotten. Our app should count, remind and reward.",
                ("points that are right even when two tills count at once", "rewards our shops can define",
                 "a screen people like to show"),
                ("Flutter", "Kotlin", "Swift", "GraphQL"), (2_500, 7_500)),
    ),
)  # fmt: skip

LEARNING = Field(
    8, (55, 140),
    ("Look at the data and agree how success is measured", "A simple baseline", "The model, compared with the baseline",
     "Serving it within our systems", "Watching it, and a handover to our team"),
    (
        Project("Assistant that answers questions of {audience} about {product}", "the assistant",
                "Our support answers the same two hundred questions. The answers exist; people do not find them.",
                ("answers with a link to the source", "a clear no when it does not know",
                 "a test set that we can extend ourselves"),
                ("Python", "Machine Learning", "FastAPI"), (5_000, 15_000)),
        Project("Forecast the demand for {product}, week by week", "the forecast",
                "We order too much in spring and too little in autumn. Five years of sales are there to learn from.",
                ("a forecast per week and region", "honest ranges instead of one number",
                 "a comparison with what our buyers guess"),
                ("Python", "Machine Learning", "SQL", "Data Analysis"), (4_000, 12_000)),
        Project("Recognise damage on photos for a {business}", "the damage detector",
                "Every return comes with a photo. A person looks at each of them; most are clear at a glance.",
                ("a model that says how sure it is", "fewer than one in a hundred damages missed",
                 "a queue for the photos it is unsure about"),
                ("PyTorch", "Deep Learning", "Python", "Docker"), (6_000, 18_000)),
        Project("Sort incoming email by topic and urgency ({business})", "the email sorter",
                "Nine hundred emails a day arrive in one inbox. The urgent ones should not wait for lunch.",
                ("topics we can rename and split", "an explanation for each decision", "running on our own servers"),
                ("Python", "Machine Learning", "REST APIs"), (2_500, 8_000)),
        Project("Recommend the right {product} to {audience}", "the recommendations",
                "People who like one thing here would like five others, and never see them.",
                ("good suggestions for people we know nothing about", "an experiment that proves it helps",
                 "answers within 50 ms"),
                ("Python", "PyTorch", "Redis", "Data Engineering"), (5_000, 14_000)),
    ),
)  # fmt: skip

DATA = Field(
    8, (30, 80),
    ("List of sources and definitions", "Pipelines for the most important sources",
     "The first report with real figures",
     "Checks that tell when a figure is wrong", "Training for our team"),
    (
        Project("Sales reporting in Power BI for a {business}", "the sales report",
                "Each month somebody spends four days on a report that is out of date when it is read.",
                ("one definition of revenue", "figures that refresh every night", "a page a director understands"),
                ("Power BI", "SQL", "Excel", "Data Analysis"), (2_000, 6_500)),
        Project("Data warehouse for everything about {product}", "the warehouse",
                "Shop, stock and accounts each have a database. We want to ask one place.",
                ("history that is never overwritten", "tests on every table", "costs that we can foresee"),
                ("Data Engineering", "SQL", "Google Cloud", "Python"), (6_000, 16_000)),
        Project("Find out why {audience} do not come back", "the analysis",
                "Half of our customers buy once. We have three years of data and many opinions.",
                ("groups of customers that make sense to us", "causes we can act upon",
                 "a notebook that we can run again next year"),
                ("Data Analysis", "Python", "SQL"), (1_800, 5_500)),
        Project("Clean and join 40 spreadsheets about {product}", "the spreadsheets",
                "Forty spreadsheets, nine authors, three ways to write a date. We want one clean table.",
                ("a list of every correction made", "duplicates found by more than their spelling",
                 "a script that does it again next month"),
                ("Excel", "Data Analysis", "Python"), (500, 2_200)),
        Project("Tableau dashboards for the branches of a {business}", "the dashboards",
                "Our branches see their own figures on paper, a week late.",
                ("each branch sees its own figures only", "a comparison with last year", "a version for phones"),
                ("Tableau", "SQL", "Data Analysis"), (2_200, 7_000)),
    ),
)  # fmt: skip

CLOUD = Field(
    7, (45, 120),
    ("Inventory, risks and a plan", "A test environment built from code", "Moving the first service",
     "Moving the rest, and alarms that mean something", "Runbooks and a rehearsal with our team"),
    (
        Project("Move the servers of a {business} to Kubernetes", "the move",
                "Eleven services run on four machines that one colleague knows by heart. He retires in spring.",
                ("releases without downtime", "everything described in code", "a way back at every step"),
                ("Kubernetes", "Docker", "Terraform", "Linux"), (6_000, 18_000)),
        Project("Terraform for our AWS accounts ({business})", "the Terraform code",
                "Somebody clicked our cloud together over six years. We want to know what is there, and why.",
                ("no resource that is not in code", "separate accounts for test and production",
                 "a monthly bill that is a third lower"),
                ("Terraform", "AWS", "Linux"), (3_500, 10_000)),
        Project("Faster builds and safe releases for the site about {product}", "the pipeline",
                "A release takes a day and a prayer. We want ten of them a day and no prayers.",
                ("a build in under five minutes", "releases that undo themselves when errors rise",
                 "secrets that no developer sees"),
                ("Docker", "Linux", "Kubernetes", "QA Testing"), (2_500, 7_500)),
        Project("Backups that were tried: disaster recovery for a {business}", "the recovery plan",
                "We have backups. Nobody has ever restored one.",
                ("a restore of everything within four hours", "a rehearsal that we can repeat every quarter",
                 "copies that an intruder cannot delete"),
                ("PostgreSQL", "Linux", "Ansible", "Azure"), (2_000, 6_500)),
        Project("Find out why the shop for {product} is slow on Mondays", "the Monday problem",
                "Every Monday at nine the database is at its limit. We suspect five things and know none.",
                ("measurements instead of guesses", "the three changes that help most",
                 "a load test we can run ourselves"),
                ("PostgreSQL", "Redis", "Linux", "MySQL"), (1_500, 5_000)),
    ),
)  # fmt: skip

SOFTWARE = {
    "Web Development": WEB,
    "Mobile Development": MOBILE,
    "AI & Machine Learning": LEARNING,
    "Data & Analytics": DATA,
    "DevOps & Cloud": CLOUD,
}
