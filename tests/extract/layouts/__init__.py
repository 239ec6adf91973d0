"""Documents of many layouts with known truth, set by typst when a test asks for them."""
