"""Studies: one recipe with a `[study]` section, carried out for every combination of its axes."""
