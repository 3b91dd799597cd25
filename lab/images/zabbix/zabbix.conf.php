<?php
$DB['TYPE']     = 'POSTGRESQL';
$DB['SERVER']   = '127.0.0.1';
$DB['PORT']     = '5432';
$DB['DATABASE'] = 'zabbix';
$DB['USER']     = 'zabbix';
$DB['PASSWORD'] = '';
$DB['SCHEMA']   = '';
$DB['ENCRYPTION'] = false;
$DB['DOUBLE_IEEE754'] = true;

$ZBX_SERVER      = '127.0.0.1';
$ZBX_SERVER_PORT = '10051';
$ZBX_SERVER_NAME = 'Concierge lab';

$IMAGE_FORMAT_DEFAULT = IMAGE_FORMAT_PNG;
