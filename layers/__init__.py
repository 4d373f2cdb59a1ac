"""The zone's map as geopandas layers: what ships, a user's own files, and what goes to the browser."""
