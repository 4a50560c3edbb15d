"""Finding what an audit is of: captures by their content, wherever they lie."""
