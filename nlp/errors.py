"""What can go wrong in the core. Every message says what was found, what was expected and what to do."""


class NlpError(Exception):
    """The root of the core's errors."""


class CheckpointError(NlpError):
    """A directory to convert is not a RaNER checkpoint."""


class HubError(NlpError):
    """A checkpoint could not be downloaded from ModelScope's hub."""


class ModelError(NlpError):
    """A serving directory is missing, incomplete or changed."""


class LabelError(NlpError):
    """A set of tags follows neither BIO nor BIOES."""


class GoldError(NlpError):
    """A gold file could not be read."""


class TrainingError(NlpError):
    """A recipe, its data or an unfinished run cannot be trained with."""


class VerificationError(NlpError):
    """What int8 finds differs too much from what float32 finds, or cannot be compared."""
