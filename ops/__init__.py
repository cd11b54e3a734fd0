"""How it runs: settings, connections, processes."""
