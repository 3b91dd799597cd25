/* The part of Zabbix's loadable module interface (API version 2, Zabbix 5.0 to 7.0) that the courier uses.
 *
 * Only the layout is Zabbix's; names and words are ours. 5.0 and 6.0 share one layout and 7.0 only appends to it, so
 * what is declared here is a prefix that is right everywhere: never rely on the size of a request or a result.
 * src/abi/host.c checks the offsets when it is compiled.
 */
#ifndef COURIER_MODULE_H
#define COURIER_MODULE_H

#include <stdint.h>

enum { MODULE_API_VERSION = 2 };

/* What module functions return. */
enum { MODULE_OK = 0, MODULE_FAIL = -1 };

/* What an item's function returns. */
enum { ITEM_OK = 0, ITEM_FAIL = 1 };

/* Flags of an item's key. */
enum { KEY_HAS_PARAMETERS = 0x01 };

/* Bits of item_result.type: which of its members are set. */
enum {
	RESULT_UI64 = 0x01,
	RESULT_DOUBLE = 0x02,
	RESULT_STRING = 0x04,
	RESULT_TEXT = 0x08,
	RESULT_MESSAGE = 0x20
};

/* A key that is asked for. */
struct item_request {
	char *key;
	int parameter_count;
	char **parameters;
	uint64_t log_size;
	int log_time;
	void *parameter_types;
	int timeout; /* seconds; from 7.0 on alone */
};

/* The answer; the host frees its texts with free(). */
struct item_result {
	uint64_t log_size;
	uint64_t ui64;
	double dbl;
	char *string;
	char *text;
	char *message;
	void *log;
	int type;
	int log_time;
};

/* One key that the module serves; the host writes to flags. */
struct item_key {
	char *key;
	unsigned int flags;
	int (*function)(struct item_request *, struct item_result *);
	char *test_parameter; /* what `zabbix_agentd -p` runs the key with */
};

#endif
