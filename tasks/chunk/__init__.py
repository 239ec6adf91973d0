"""From segments to chunks: what one prompt shows, within the model's exact budget."""

from tasks.chunk.packing import chunk_segments

__all__ = ["chunk_segments"]
