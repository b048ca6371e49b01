// SPDX-License-Identifier: MIT

/* Plays a line as gst-launch-1.0 does and prints the messages of its elements. */
#include <gst/gst.h>
#include <stdio.h>

/* LINE ends with NULL. Returns the exit status: 0 at the end of the stream, 1 after an error of an element,
 * 2 if the line cannot be made. */
static int play(char **line) {
  GError *error = NULL;
  GstElement *pipeline = gst_parse_launchv((const gchar **)line, &error);
  if (!pipeline || error) {
    fprintf(stderr, "%s\n", error ? error->message : "nothing to play");
    return 2;
  }
  GstBus *bus = gst_element_get_bus(pipeline);
  gst_element_set_state(pipeline, GST_STATE_PLAYING);
  int status = -1;
  while (status < 0) {
    GstMessage *message = gst_bus_timed_pop(bus, GST_CLOCK_TIME_NONE);
    switch (GST_MESSAGE_TYPE(message)) {
      case GST_MESSAGE_ELEMENT: {
        gchar *text = gst_structure_to_string(gst_message_get_structure(message));
        puts(text);
        g_free(text);
        break;
      }
      case GST_MESSAGE_ERROR:
        gst_message_parse_error(message, &error, NULL);
        fprintf(stderr, "%s: %s\n", GST_OBJECT_NAME(message->src), error->message);
        g_clear_error(&error);
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
