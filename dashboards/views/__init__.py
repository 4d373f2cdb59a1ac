"""View models: data in, what a page says out. Pure, so that each can be tested without a browser."""
