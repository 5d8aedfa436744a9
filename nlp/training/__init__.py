"""From an encoder and labelled texts to a RaNER checkpoint. Needs the extra `train`."""
