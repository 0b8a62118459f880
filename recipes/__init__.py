"""Recipes to start from: data of the wheel, `rankmill.recipes_data.recipe_folder()` finds them."""
