"""Dash pages: layouts and callbacks of a few lines; what they show comes from `views`."""
