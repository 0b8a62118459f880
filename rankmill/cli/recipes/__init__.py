"""Recipes on the command line: how they are given, and those that come with the package."""
