"""The article's models: PCA, autoencoders, the VAE and inference for a fixed decoder."""
