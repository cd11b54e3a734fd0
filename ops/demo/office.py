"""What is drawn, written, counted, sold and agreed in the demo: projects, and the steps in which they are done."""

from ops.demo.software import Field, Project

DESIGN = Field(
    9, (30, 85),
    ("Interviews and a brief we both sign", "Three directions to choose from", "The chosen direction, worked out",
     "All files and variants", "Guidelines for those who come after"),
    (
        Project("New logo and identity for a {business}", "the identity",
                "Our logo was drawn by a nephew in 2009. We love the nephew.",
                ("a mark that works at 16 pixels and on a lorry", "colours that print well",
                 "a guide of no more than twelve pages"),
                ("Logo Design", "Adobe Illustrator", "Illustration"), (1_200, 5_000)),
        Project("Redesign how {audience} buy {product} on a phone", "the redesign",
                "Two of three visitors come with a phone, and one of ten buys. We want to know why, and change it.",
                ("talks with eight real customers", "a prototype that can be tested",
                 "designs that our developers can build in a month"),
                ("Figma", "UX Research", "UI Design"), (3_500, 9_500)),
        Project("Packaging illustrations for {product}", "the illustrations",
                "Eight boxes, each with a scene of its own, and together one landscape.",
                ("eight scenes that join", "files ready for our printer", "a style we can continue next year"),
                ("Illustration", "Adobe Illustrator", "Adobe Photoshop"), (1_500, 5_500)),
        Project("Twelve short films about {product}", "the films",
                "We have forty hours of material from the last year and need a minute for each month.",
                ("a rhythm that works without sound", "subtitles in two languages", "versions for three formats"),
                ("Video Editing", "Adobe Photoshop", "Social Media"), (1_000, 4_500)),
        Project("Design system in Figma for a {business}", "the design system",
                "Four teams draw the same button in four ways.",
                ("components with all their states", "colours with enough contrast", "names that our code uses too"),
                ("Figma", "UI Design", "CSS"), (3_000, 9_000)),
    ),
)  # fmt: skip

MARKETING = Field(
    8, (25, 75),
    ("A look at what was tried so far", "Plan with figures to be measured by", "The first campaign",
     "Second round with what was learnt", "Report and handover"),
    (
        Project("Google Ads for {product}: half the cost per order", "the account",
                "We spend 9 000 a month, and nobody has looked at the account since summer.",
                ("a tidy account", "weekly notes of what was changed and why", "no clicks bought for our own name"),
                ("Google Ads", "Market Research", "Data Analysis"), (1_200, 4_500)),
        Project("Get found by {audience}: search optimisation for a {business}", "the optimisation",
                "Competitors who are worse than us are found before us.",
                ("a list of fixes by effect", "twenty pages written anew", "a report each month in plain words"),
                ("SEO", "Content Strategy", "WordPress"), (1_500, 5_000)),
        Project("Newsletter that {audience} want to read", "the newsletter",
                "Eleven thousand people gave us their address, and we write to them once a year.",
                ("a plan for six months", "four templates", "a welcome series of five letters"),
                ("Email Marketing", "Copywriting", "Content Strategy"), (800, 3_000)),
        Project("Launch plan for {product} in a second country", "the launch plan",
                "We sell at home. Next year we want to sell next door, and know too little about it.",
                ("talks with ten possible customers", "an honest look at five competitors",
                 "a budget for the first year"),
                ("Market Research", "Social Media", "Product Management"), (2_500, 8_000)),
        Project("Community manager for {audience}", "the community",
                "Six thousand people talk about {product} in our forum. Somebody should listen, and answer.",
                ("answers within four hours on working days", "a monthly list of what people wish for",
                 "rules that are short and are kept"),
                ("Community Management", "Social Media", "Customer Support"), (900, 3_500)),
    ),
)  # fmt: skip

WRITING = Field(
    7, (25, 70),
    ("Outline and tone of voice", "First half, as a draft", "Second half, as a draft", "Revision after our comments",
     "Final proofreading"),
    (
        Project("Developer documentation for the API of a {business}", "the documentation",
                "Our API is good, and our documentation is a list of endpoints.",
                ("a first call within five minutes", "examples that are run by our tests", "a page for every error"),
                ("Technical Writing", "REST APIs", "GraphQL", "Editing"), (2_000, 7_000)),
        Project("Twenty articles about {product}", "the articles",
                "We know everything about {product} and cannot write. You can, and will ask us everything.",
                ("interviews with our people instead of phrases", "one idea in each article",
                 "headlines that promise what the text keeps"),
                ("Copywriting", "SEO", "Editing"), (1_500, 5_000)),
        Project("Website texts for a {business}, without a single cliché", "the texts",
                "Our site says innovative nine times. Nobody has ever said it to us.",
                ("a tone that sounds like us on the telephone", "fourteen pages",
                 "short texts for all buttons and errors"),
                ("Copywriting", "Content Strategy", "Proofreading"), (1_000, 3_800)),
        Project("Edit a handbook of 180 pages for {audience}", "the handbook",
                "Five of us wrote it, and one can tell who wrote which page.",
                ("one voice from beginning to end", "half the length of chapter four", "an index"),
                ("Editing", "Proofreading", "Technical Writing"), (1_200, 4_000)),
    ),
)  # fmt: skip

TRANSLATION = Field(
    5, (20, 55),
    ("Glossary and ten sample pages", "First half", "Second half", "Review by a second pair of eyes",
     "Corrections in place"),
    (
        Project("Translate the shop for {product} into German and Italian", "the translation",
                "Two thousand short texts and forty long ones, from English.",
                ("a glossary we keep", "texts that fit on our buttons", "a reader from the trade"),
                ("German", "Italian", "Proofreading"), (1_200, 4_500)),
        Project("French and Spanish manuals for {product}", "the manuals",
                "Three manuals of sixty pages each; safety matters, style less.",
                ("terms that follow the standard", "the same layout as the original", "a second translator's review"),
                ("French", "Spanish", "Technical Writing"), (1_500, 4_800)),
        Project("Transcribe 30 interviews with {audience}", "the transcripts",
                "Thirty recordings of an hour each, some of them with dogs.",
                ("time marks every minute", "names made unrecognisable", "delivery within three weeks"),
                ("Transcription", "Editing", "Proofreading"), (700, 2_200)),
    ),
)  # fmt: skip

FINANCE = Field(
    4, (25, 80),
    ("Handover of documents", "The first month, complete", "The remaining months", "Questions of the auditor",
     "Manual for our office"),
    (
        Project("Catch up on a year of bookkeeping for a {business}", "the books",
                "Our bookkeeper left in January, and the shoe box is full.",
                ("bank accounts that agree to the cent", "a list of everything that is missing",
                 "a tax return in time"),
                ("Bookkeeping", "Accounting", "Excel"), (1_200, 4_500)),
        Project("Financial model for the next three years of {product}", "the model",
                "Investors asked for our model. We have a feeling.",
                ("assumptions on one page", "three scenarios", "cash by month"),
                ("Financial Modeling", "Excel", "Accounting"), (1_800, 6_000)),
        Project("What {product} really cost: unit costs for a {business}", "the cost analysis",
                "We know what we earn with everything, and not with anything.",
                ("costs by item and channel", "the five things that we sell at a loss", "a sheet that we can update"),
                ("Accounting", "Data Analysis", "Excel"), (1_000, 3_600)),
    ),
)  # fmt: skip

ASSISTANCE = Field(
    3, (12, 30),
    ("A week of looking over our shoulder", "First tasks done alone", "Everything on the list",
     "Instructions for a stand-in"),
    (
        Project("Virtual assistant for the founder of a {business}", "the assistance",
                "Sixty emails a day, eleven meetings a week, and one head.",
                ("a calendar with room to think", "travel booked with a second option",
                 "an inbox that is empty on Fridays"),
                ("Virtual Assistance", "Excel", "Customer Support"), (600, 2_000)),
        Project("Check 3 000 addresses of {audience}", "the addresses",
                "A third of our letters come back. We want to know who has moved.",
                ("a source for each correction", "no guessing", "a table we can import"),
                ("Virtual Assistance", "Excel", "Market Research"), (400, 1_400)),
    ),
)  # fmt: skip

SUPPORT = Field(
    3, (14, 35),
    ("Learning our products and our tone", "Answering with review", "Answering alone", "Answers for the help pages"),
    (
        Project("Weekend support for {audience}", "the weekend support",
                "On Saturdays {audience} have time, and we do not answer.",
                ("answers within an hour, by email and chat", "a sense for when to call us", "notes for Monday"),
                ("Customer Support", "Community Management"), (800, 2_600)),
        Project("Help centre with the 80 most frequent questions about {product}", "the help centre",
                "We have answered everything before, somewhere, to somebody.",
                ("answers of at most eight lines", "pictures where they help", "words that {audience} use themselves"),
                ("Customer Support", "Technical Writing", "Editing"), (900, 3_000)),
    ),
)  # fmt: skip

ROOMS = Field(
    3, (35, 90),
    ("Measuring and wishes", "Two concepts", "Drawings of the chosen one", "Pictures, materials and a list of costs"),
    (
        Project("Interior concept for the new rooms of a {business}", "the rooms",
                "340 square metres, high windows, little money, and a wish for wood.",
                ("a plan that survives the fire inspector", "daylight at every desk",
                 "materials that can be bought within an hour's drive"),
                ("Interior Design", "Project Management"), (2_500, 8_000)),
        Project("Photorealistic pictures of {product} in real rooms", "the pictures",
                "We need twenty pictures before the first piece is built.",
                ("light that looks like an afternoon", "models we can use again", "print resolution"),
                ("Interior Design", "Adobe Photoshop", "Illustration"), (1_500, 5_000)),
    ),
)  # fmt: skip

LEGAL = Field(
    2, (70, 180),
    ("Questions and a list of risks", "First draft", "Second draft after our comments", "Summary in plain words"),
    (
        Project("Terms of service for a {business}", "the terms",
                "Ours are copied from somebody who copied them.",
                ("terms a customer can read in five minutes", "the law of three countries",
                 "a summary for each section"),
                ("Contract Law", "Editing"), (1_500, 5_000)),
        Project("Review 25 supplier contracts behind {product}", "the contracts",
                "They renew in December, and nobody remembers what we signed.",
                ("a page for each contract", "every date on which we can leave", "the five worst clauses first"),
                ("Contract Law", "Proofreading", "Project Management"), (2_000, 6_000)),
    ),
)  # fmt: skip

PRODUCT = Field(
    4, (45, 110),
    ("Talks with everybody concerned", "Goals and a first roadmap", "Running the first month",
     "Running the second month", "Handover to a colleague"),
    (
        Project("Product manager for the next release of {product}", "the release",
                "Everybody has ideas, and we build those of the loudest.",
                ("talks with customers each week", "a roadmap that says no", "numbers that show whether it helped"),
                ("Product Management", "Market Research", "UX Research"), (4_000, 12_000)),
        Project("Project lead for the new software of a {business}", "the project",
                "Three suppliers, one deadline, and a supervisory board.",
                ("a plan that fits on a page", "risks named before they happen", "minutes within a day"),
                ("Project Management", "Product Management"), (3_500, 11_000)),
        Project("Find out what {audience} would pay for {product}", "the study",
                "Our prices are five years old and felt right then.",
                ("a survey with 300 answers", "twelve long talks", "a recommendation with its doubts"),
                ("Market Research", "UX Research", "Data Analysis"), (1_800, 6_000)),
    ),
)  # fmt: skip

OFFICE = {
    "Design & Creative": DESIGN,
    "Sales & Marketing": MARKETING,
    "Writing": WRITING,
    "Translation": TRANSLATION,
    "Accounting & Finance": FINANCE,
    "Admin Support": ASSISTANCE,
    "Customer Service": SUPPORT,
    "Engineering & Architecture": ROOMS,
    "Legal": LEGAL,
    "Product & Project Management": PRODUCT,
}
