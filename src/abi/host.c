/* What only C can say: that a symbol of the host may be missing, and where the header's members lie. */
#include "module.h"

#include <stddef.h>

#define AT(type, member, offset) _Static_assert(offsetof(struct type, member) == (offset), #type "." #member)

AT(item_request, key, 0);
AT(item_request, parameter_count, 8);
AT(item_request, parameters, 16);
AT(item_request, log_size, 24);
AT(item_request, log_time, 32);
AT(item_request, parameter_types, 40);
AT(item_request, timeout, 48);
AT(item_result, log_size, 0);
AT(item_result, ui64, 8);
AT(item_result, dbl, 16);
AT(item_result, string, 24);
AT(item_result, text, 32);
AT(item_result, message, 40);
AT(item_result, log, 48);
AT(item_result, type, 56);
AT(item_result, log_time, 60);
AT(item_key, key, 0);
AT(item_key, flags, 8);
AT(item_key, function, 16);
AT(item_key, test_parameter, 24);
_Static_assert(sizeof(struct item_key) == 32, "item_key");

#define WEAK __attribute__((weak))

/* 5.0 and 6.0 */
extern void __zbx_zabbix_log(int level, const char *format, ...) WEAK;
extern int zbx_log_level WEAK;
extern char *CONFIG_FILE WEAK;
/* 7.0 */
extern void zbx_log_handle(int level, const char *format, ...) WEAK;
extern int zbx_get_log_level(void) WEAK;
extern int zbx_validate_item_timeout(void) WEAK;

/* The level up to which the host logs; -1 where there is no host. */
int courier_host_log_level(void)
{
	if (zbx_get_log_level)
		return zbx_get_log_level();
	if (&zbx_log_level)
		return zbx_log_level;
	return -1;
}

/* Writes a line into the host's log; the host adds process, time and line end. */
void courier_host_log(int level, const char *text)
{
	if (zbx_log_handle)
		zbx_log_handle(level, "%s", text);
	else if (__zbx_zabbix_log)
		__zbx_zabbix_log(level, "%s", text);
}

/* The path of the host's configuration file, or null where it does not tell. */
const char *courier_host_config(void)
{
	return &CONFIG_FILE ? CONFIG_FILE : NULL;
}

/* Whether requests of this host carry a timeout. */
int courier_host_has_timeout(void)
{
	return zbx_validate_item_timeout != NULL;
}
