"""A product that the lake does not have, made by the recipe of CONTRIBUTING.md."""
