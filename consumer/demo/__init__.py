"""The main job on an embedded broker: real messages, the real worker, and what came out."""
