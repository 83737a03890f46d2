"""Keras' side of compare.py, on TensorFlow: the lecture's model, compiled and trained as in the lecture."""

import os

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import lecture
import tensorflow as tf
import worker
from keras import layers

options = worker.arguments()
tf.config.threading.set_intra_op_parallelism_threads(options.threads)
tf.config.threading.set_inter_op_parallelism_threads(options.threads)
shapes = dict(lecture.unet_kernels())


def conv(x, name):
    kh, kw, _, filters = shapes[name]
    activation = "sigmoid" if name == "Conv_Out" else "relu"
    return layers.Conv2D(filters, (kh, kw), activation=activation, padding="same", name=name)(x)


def transpose(x, name):
    return layers.Conv2DTranspose(shapes[name][2], 2, strides=2, name=name)(x)


def lecture_unet(size):
    """Returns the lecture's model with the shared weights, compiled, for images of size x size."""
    inputs = layers.Input((size, size, 3))
    outputs = lecture.forward(
        inputs,
        conv,
        transpose,
        pool=lambda x: layers.MaxPooling2D()(x),
        concatenate=lambda a, b: layers.Concatenate()([a, b]),
    )
    model = keras.Model(inputs, outputs)
    weights = lecture.unet_weights("float32")
    for name in shapes:
        model.get_layer(name).set_weights([weights[f"{name}/kernel"], weights[f"{name}/bias"]])
    model.compile(keras.optimizers.RMSprop(1e-3), loss="binary_crossentropy")
    return model


model = lecture_unet(options.size)
images, targets = (tf.constant(a) for a in lecture.unet_batch(options.batch, options.size, "float32"))


def train_step():
    return float(model.train_on_batch(images, targets))


def infer():
    model.predict_on_batch(images)


def predictor(size):
    of_this_size = lecture_unet(size)
    image = tf.constant(lecture.unet_batch(1, size, "float32")[0])
    return lambda: of_this_size.predict_on_batch(image)


name = f"Keras {keras.__version__} / TensorFlow {tf.__version__}"
worker.serve(name, train_step, infer, notes=f"{options.threads} threads", predictor=predictor)
