/* A C program with the plugin linked in, for servers that ship one file.
 *
 *   cargo rustc --release --lib --crate-type staticlib
 *   cc examples/static_host.c -o static_host target/release/libgstrustaudio.a \
 *      $(pkg-config --cflags --libs gstreamer-1.0 gstreamer-base-1.0 gstreamer-audio-1.0 gio-2.0) -lm -ldl
 *
 * (or `cargo cinstall --library-type=staticlib` and pkg-config's gstrustaudio).
 * Plays the line given as arguments, as gst-launch does, and prints each metrics message. */
#include <gst/gst.h>
#include <stdio.h>

void gst_plugin_rustaudio_register(void);

int main(int argc, char **argv) {
  GError *error = NULL;
  gst_init(&argc, &argv);
  gst_plugin_rustaudio_register();

  GstElement *pipeline = gst_parse_launchv((const gchar **)argv + 1, &error);
  if (!pipeline || error) {
    fprintf(stderr, "%s\n", error ? error->message : "nothing to play");
    return 2;
  }
  GstBus *bus = gst_element_get_bus(pipeline);
  gst_element_set_state(pipeline, GST_STATE_PLAYING);
  int status = -1;
  while (status < 0) {
    GstMessage *message = gst_bus_timed_pop(bus, GST_CLOCK_TIME_NONE);
    const GstStructure *s = gst_message_get_structure(message);
    switch (GST_MESSAGE_TYPE(message)) {
      case GST_MESSAGE_ELEMENT: {
        gchar *text = gst_structure_to_string(s);
        puts(text);
        g_free(text);
        break;
      }
      case GST_MESSAGE_ERROR:
        gst_message_parse_error(message, &error, NULL);
        fprintf(stderr, "%s: %s\n", GST_OBJECT_NAME(message->src), error->message);
        g_error_free(error);
        status = 1;
        break;
      case GST_MESSAGE_EOS:
        status = 0;
        break;
      default:
        break;
    }
    gst_message_unref(message);
  }
  gst_element_set_state(pipeline, GST_STATE_NULL);
  gst_object_unref(bus);
  gst_object_unref(pipeline);
  return status;
}
