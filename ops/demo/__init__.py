"""The demo: who lives in it, and with which password. Importing this loads nothing else."""

PASSWORD = "workup-demo"  # noqa: S105 - it is printed for everyone to use
PEOPLE = ("client@demo.workup", "freelancer@demo.workup", "admin@demo.workup")
