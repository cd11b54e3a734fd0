"""What people write to each other in the demo, in parts."""

GREETINGS = ("Hello {client},", "Dear {client},", "Hi {client},", "Good day {client},")
HOOKS = (
    "you want “{need}”, and that is exactly the part of {subject} that most people get wrong.",
    "I read your description twice. “{Need}”: I have done this before, and I know where it hurts.",
    "what made me write is one line of yours: “{need}”.",
    "I would like to do {subject} with you. You name three things, and I would begin with {need}.",
    "{subject} for {audience} is close to what I finished last month for another company.",
)
PROOFS = (
    "I have worked on {craft} for {years} years; {skill} is what I use every day.",
    "In {years} years of {craft} I have learnt to promise little. One promise: “{other}” will not be an afterthought.",
    "My last three projects were about {craft}, all with {skill}; two of the clients are glad to talk to you.",
    "For a company in {city} I did something similar with {skill}. It is still in use, and I still know how it works.",
)
PLANS = (
    "I would go in {count}, beginning with “{first}”; after each of them you have something you can use.",
    "First comes “{first}”. You will see it within a week, and we decide together how to go on.",
    "The milestones below follow the order in which I would work. If “{first}” shows that it should change, it does.",
)
PLANS_WHOLE = (
    "I would do it in one go, and show you every few days where it stands.",
    "It is small enough for one milestone; you pay when all of it is there.",
)
DOUBTS = (
    "One question before we begin: who decides on your side?",
    "One thing I did not find in your description: is there a date that must not be missed?",
    "One question about “{other}”: how will you judge that it is done?",
    "May I see what you have so far before you decide?",
    "",
    "",
)
PRICES_FIXED = (
    "I ask {price} for all of it, with no extras unless you change your mind about {subject}.",
    "My price is {price}. It includes two rounds of changes.",
    "For {price} you get everything that is listed in the milestones.",
)
PRICES_HOURLY = (
    "My rate is {price} an hour, counted in quarters, with a note for each.",
    "I work for {price} an hour; the milestones below are what I expect, not what I promise.",
)
ENDINGS = (
    "I have time from Monday.\n\n{name}",
    "Write to me, or let us talk for twenty minutes.\n\nBest regards\n{name}",
    "I look forward to hearing from you.\n\n{name}, {city}",
    "Thank you for reading this far.\n\n{name}",
)

OPENINGS = (
    "We are a {business} in {city}, and we sell {product} to {audience}.",
    "{company} is a {business}; {people} of us work from {city}.",
    "You may know {company} if you are one of the {audience} we work for. If not: we are a {business} from {city}.",
)
PRACTICAL = (
    "We speak English with each other and answer within a day.",
    "You would work with two of us, who know the subject and have time for you.",
    "There is a written brief of six pages, which you get when we talk.",
    "We have tried once before and know what we do not want; ask us.",
    "Work from wherever you like. One call a week is enough.",
)
CLOSINGS = (
    "Tell us how you would begin, and show us something similar that you have done.",
    "Please do not send a long curriculum. Two examples and three sentences say more.",
    "Tell us also what you think is wrong with this description.",
    "We decide within two weeks and answer everybody.",
)
UPDATES = (
    "Update: we were asked about the date. There is none; good is better than soon.",
    "Update: thank you for the many offers. We read all of them and answer by the end of next week.",
    "Update: a test account is available to everybody whom we invite to a talk.",
)

REJECTIONS = (
    "Thank you. We went with somebody who has worked in our trade before.",
    "Your offer is good, and more than we can spend.",
    "We were looking for somebody in a time zone closer to ours.",
    "The examples you sent are not close enough to what we need.",
    None,
)
ATTACHMENTS = (
    ("Portfolio", "portfolio.pdf"),
    ("Case study", "case-study.pdf"),
    ("References", "references.pdf"),
    ("Sketch of the solution", "sketch.png"),
    ("Sample of my work", "sample.pdf"),
)

SUBMISSIONS = (
    "Here it is, with the notes we talked about. Tell me what you would change.",
    "Done, a day early. I left the two open questions as comments.",
    "This part is complete and tested; the next one can begin whenever you like.",
    "All that was asked for, and a short page on how to go on from here.",
)

FAREWELLS = (
    "We have stopped the project on our side. Thank you for the work so far.",
    "The plans have changed so much that we would rather begin anew later.",
    "We have hired somebody for this, and will go on ourselves.",
)
