"""The words that jobs are described with; their ids are the same everywhere."""

from uuid import UUID

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

CATEGORIES = (
    "Accounting & Finance",
    "Admin Support",
    "AI & Machine Learning",
    "Customer Service",
    "Data & Analytics",
    "Design & Creative",
    "DevOps & Cloud",
    "Engineering & Architecture",
    "Legal",
    "Mobile Development",
    "Product & Project Management",
    "Sales & Marketing",
    "Translation",
    "Web Development",
    "Writing",
)
SKILLS = (
    "Accounting", "Adobe Illustrator", "Adobe Photoshop", "Angular", "Ansible", "AWS", "Azure", "Bookkeeping", "C#",
    "C++", "Community Management", "Content Strategy", "Contract Law", "Copywriting", "CSS", "Customer Support",
    "Data Analysis", "Data Engineering", "Deep Learning", "Django", "Docker", "Editing", "Email Marketing", "Excel",
    "FastAPI", "Figma", "Financial Modeling", "Flutter", "French", "German", "Go", "Google Ads", "Google Cloud",
    "GraphQL", "HTML", "Illustration", "Interior Design", "Italian", "Java", "JavaScript", "Kotlin", "Kubernetes",
    "Linux", "Logo Design", "Market Research", "Machine Learning", "MongoDB", "MySQL", "Node.js", "PHP", "PostgreSQL",
    "Power BI", "Product Management", "Project Management", "Proofreading", "Python", "PyTorch", "QA Testing", "React",
    "React Native", "Redis", "REST APIs", "Ruby on Rails", "Rust", "SEO", "Social Media", "Spanish", "SQL", "Swift",
    "Tableau", "Technical Writing", "Terraform", "Transcription", "TypeScript", "UI Design", "UX Research",
    "Video Editing", "Virtual Assistance", "Vue.js", "WordPress",
)  # fmt: skip


def known(first: int, names: tuple[str, ...]) -> list[dict[str, object]]:
    """Number the words in the form of a UUIDv7 of the first millisecond of 2026."""
    base = 1_767_225_600_000 << 80 | 7 << 76 | 2 << 62
    return [{"id": UUID(int=base | first + at), "name": name} for at, name in enumerate(names)]


def upgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    categories = op.create_table(
        "categories",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_categories")),
        sa.UniqueConstraint("name", name=op.f("uq_categories_name")),
    )
    skills = op.create_table(
        "skills",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_skills")),
        sa.UniqueConstraint("name", name=op.f("uq_skills_name")),
    )
    op.bulk_insert(categories, known(1_000, CATEGORIES))
    op.bulk_insert(skills, known(2_000, SKILLS))


def downgrade() -> None:
    op.execute("SET LOCAL lock_timeout = '3s'")
    op.execute("SET LOCAL statement_timeout = '30s'")
    op.drop_table("skills")
    op.drop_table("categories")
