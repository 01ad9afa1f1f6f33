"""What makes no sense in a configuration although every value has the right type: a file per part of it.

Each check takes the whole ``Config`` or a part with its path, and yields mistakes whose paths are in the model's terms.
"""
