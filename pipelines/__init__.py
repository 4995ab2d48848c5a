"""The mathematics of Palimpsest: models, masks and editing methods. No page, no database, no threads."""
