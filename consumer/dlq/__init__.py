"""Dead letters after the fact: looked at, and sent again once what was wrong is mended."""
