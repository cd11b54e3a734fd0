"""How it became so: one numbered story."""
