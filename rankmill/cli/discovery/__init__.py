"""Commands that say what there is: artifacts, parts and their parameters, recipes."""
