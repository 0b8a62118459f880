"""Studies: a recipe, its stages carried out, its systems judged and compared, cost beside gain."""
