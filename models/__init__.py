"""What is true: tables, states, and the rules that move them."""
