"""The arithmetic behind the rules: elementary functions, sums, links, projections; no specs."""
