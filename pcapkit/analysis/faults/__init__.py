"""What is wrong, beside waste: detectors, their notes, and the findings made of them."""
