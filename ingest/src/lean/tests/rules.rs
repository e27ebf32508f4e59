//! Single rules, and where they differ from retina's on purpose.
