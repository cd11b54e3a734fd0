"""What is said: the GraphQL contract, and nothing else."""
