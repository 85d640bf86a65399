"""Is the chain right? Declarations become a graph with names; the graph is checked, written down and drawn."""
