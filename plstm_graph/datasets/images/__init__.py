"""Images: arrow pointing, CIFAR-10 and Fashion-MNIST, folders of images."""
