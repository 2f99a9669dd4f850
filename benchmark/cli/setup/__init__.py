"""Commands that prepare: environments, frameworks, images, data sets, AWS, and the doctor."""
