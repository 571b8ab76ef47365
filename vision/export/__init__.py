"""Writing a detector as a graph of another runtime, and proving that it answers alike."""

from vision.export.write import NUM_CALIBRATED, NUM_COMPARED, Export, ExportSpec, export

__all__ = ["NUM_CALIBRATED", "NUM_COMPARED", "Export", "ExportSpec", "export"]
