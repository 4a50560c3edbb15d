"""What Kubernetes says of itself: Corefiles, pods, services, conventions."""
