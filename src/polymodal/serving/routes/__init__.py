"""The routes: one file per family, each with a function that returns an APIRouter for a Service."""
