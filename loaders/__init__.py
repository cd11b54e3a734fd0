"""What is read: every SELECT in the house."""
