# What nginx does in front of Weft and around it: limits, access rules, auth_request, error pages, internal redirects,
# subrequests.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use MIME::Base64 qw(encode_base64);
use Test::More;
use Weft::Test;

my $t      = Weft::Test->new;
my $key    = $t->key_file;
my $ticket = $t->ticket;
my $self   = $t->port;    # where nginx is its own upstream
my $passwd = spew($t->prefix . '/passwd', "ann:{PLAIN}secret\n");

my $node = $t->node(
    'a',
    workers  => 1,
    http     => <<"HTTP",
    weft_drain 1s;
    weft_reload drain;
    weft_rate off;
    weft_ticket key=$key;
    limit_req_zone \$arg_who zone=strict:1m rate=1r/m;
    limit_req_zone \$arg_who zone=delay:1m rate=5r/s;
    limit_conn_zone \$arg_who zone=open:1m;
    server {
        listen 127.0.0.1:$self;
        location /slow    { limit_req zone=delay burst=50; empty_gif; }
        location /say-ws  { add_header X-Accel-Redirect /inner/ws always; return 200; }
    }
HTTP
    server => <<"SERVER",
        location /limited { limit_req zone=strict; weft_websocket; }
        location /delayed { limit_req zone=delay burst=50; weft_websocket; }
        location /few     { limit_conn open 1; weft_websocket; }
        location /denied  { deny all; weft_websocket; }
        location /allowed { allow 127.0.0.0/8; deny all; weft_websocket; }
        location /basic   { auth_basic x; auth_basic_user_file $passwd; weft_websocket; weft_ticket key=$key; }
        location /any     { satisfy any; deny all; auth_basic x; auth_basic_user_file $passwd; weft_websocket; }
        location /asked   { auth_request /auth; weft_websocket; }
        location /asked-any  { satisfy any; deny all; auth_request /auth; weft_websocket; }
        location /asked-slow { auth_request /auth-slow; weft_websocket; }
        location = /auth      { internal; if (\$http_pass = yes) { return 204; } return 403; }
        location = /auth-slow { internal; proxy_pass http://127.0.0.1:$self/slow?who=\$arg_who; proxy_pass_request_body off; }

        location /paged   { error_page 400 403 405 426 /page.html; deny 192.0.2.1; weft_websocket; weft_origin https://only.test; }
        location /turned-away { error_page 403 \@page; deny all; weft_websocket; }
        location = /page.html { return 200 "the page\\n"; }
        location \@page    { return 200 "the page\\n"; }

        location /inner/ws { internal; weft_websocket; }
        location \@ws      { weft_websocket; }
        location /rewrite { rewrite ^ /inner/ws last; }
        location /try     { try_files /none \@ws; }
        location /page-ws { error_page 404 = /inner/ws; return 404; }
        location /teapot  { error_page 418 = \@ws; return 418; }
        location /index/  { index none inner; }
        location /accel   { proxy_pass http://127.0.0.1:$self/say-ws; }
        location /accel-pub { error_page 404 = /publish/chat:accel; return 404; }

        location /by-auth   { auth_request /ws; return 200; }
        location /by-auth-empty { auth_request /ws; empty_gif; }
        location = /by-body { add_before_body /ws; add_after_body /ws; alias html/text; default_type text/html; }
        location /by-mirror { mirror /ws; empty_gif; }
        location /with-status { add_after_body /status; alias html/; default_type text/html; }
        location = /asks-status { auth_request /status; empty_gif; }
        location = /asks-publish { auth_request /publish/chat:sub; empty_gif; }
        location = /copies  { mirror /copy; client_body_buffer_size 64k; proxy_pass http://127.0.0.1:$self/slow?who=copies; }
        location = /copy    { internal; weft_publish chat:copy; }

        location /mirrored      { mirror /mirror; weft_websocket; }
        location /mirrored-slow { mirror /mirror-slow; weft_websocket; }
        location = /mirror      { internal; return 204; }
        location = /mirror-slow { internal; proxy_pass http://127.0.0.1:$self/slow?who=mirror; }
        location /rate-limited  { limit_rate 2k; weft_websocket; }
        location /headers       { add_header X-Weft yes always; weft_websocket; }
SERVER
);
my $nginx = $node->nginx;
my @pids  = $nginx->workers;
spew($nginx->folder . '/html/text', "a text\n");

our @headers = (
    'Host: localhost', 'Upgrade: websocket', 'Connection: Upgrade', 'Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==',
    'Sec-WebSocket-Version: 13', "Authorization: Bearer $ticket",
);
sub handshake { my ($path, @more) = @_; return join "\r\n", "GET $path HTTP/1.1", @headers, @more, '', '' }

# Sends a handshake and what may follow it, and returns the client and the answer's status and head.
sub ask {
    my ($path, %o) = @_;
    my $client = Weft::Client->dial(port => $node->port);
    $client->raw_send(handshake($path, @{ $o{headers} // [] }) . ($o{behind} // ''));
    return $client if $o{unread};
    return answered($client);
}

sub answered {
    my ($client) = @_;
    $client->_read_until(sub { $client->{in} =~ /\r\n\r\n/ }, 'an answer');
    $client->{in} =~ s{^(HTTP/1\.1 (\d+) .*?\r\n\r\n)}{}s or die "no answer: '$client->{in}'\n";
    return ($client, $2, $1);
}

sub upgrades {
    my ($what, $path, @more) = @_;
    my ($client, $status) = ask($path, headers => \@more, behind => Weft::Client::frame_bytes(text => '{"type":"ping","id":"first"}'));
    is($status, 101, "$what: upgraded") or return;
    is($client->next_message->{type}, 'connection_established', 'greeted');
    is($client->next_message->{id},   'first',                  'what came with the handshake is answered');
    is($client->call('ping')->{type}, 'pong',                   'and what comes later');
    return $client;
}

# The status of the answer when it isn't an upgrade; nobody may be connected by it.
sub refused {
    my ($path, @more) = @_;
    my $accepted = $node->status->{connections}{accepted};
    my ($client, $status) = ask($path, headers => \@more);
    return 101 if $status == 101;
    return $node->status->{connections}{accepted} == $accepted ? $status : 'connected';
}

sub nothing_left {
    my $status;
    ok(
        wait_for { $status = $node->status; $status->{connections}{active} == 0 && $status->{subscriptions} == 0 },
        'nobody is left'
    ) or diag(explain($status));
    is_deeply([ $nginx->workers ], \@pids, 'the worker is the same');
    return;
}

# ---- limits ----

check 'limit_req refuses a handshake, and leaves who is in alone' => sub {
    my $first = upgrades('the first', '/limited?who=a');
    is(refused('/limited?who=a'), 503, 'the second is refused');
    upgrades('of another', '/limited?who=b');
    is($first->call('ping')->{type}, 'pong', 'the first is served on');
};
check 'limit_req delays handshakes, and what is sent meanwhile is not lost' => sub {
    my @clients = map {
        ask('/delayed?who=d', unread => 1, behind => Weft::Client::frame_bytes(text => '{"type":"ping","id":"with"}'))
    } 1 .. 5;
    $_->raw_send(Weft::Client::frame_bytes(text => '{"type":"ping","id":"after"}')) for @clients;
    for my $client (@clients) {
        my (undef, $status) = answered($client);
        is($status, 101, 'upgraded');
        is(join(' ', map { my $m = $client->next_message; $m->{id} // $m->{type} } 1 .. 3), 'connection_established with after', 'all is answered');
    }
};
check 'clients that go while limit_req delays them leave nothing' => sub {
    my @clients = map { ask('/delayed?who=e', unread => 1) } 1 .. 8;
    $clients[$_]->hang_up(reset => $_ % 2) for 0 .. 5;
    is((answered($clients[$_]))[1], 101, 'who stays is upgraded') for 6, 7;
    $_->hang_up for @clients[ 6, 7 ];
    nothing_left();
};
check 'limit_conn counts handshakes, not connections that have been handed over' => sub {
    my @clients = map { upgrades("number $_", '/few?who=c') } 1 .. 3;
    is(scalar @clients, 3, 'three are open');
};
check 'limit_rate does not hold for messages' => sub {
    my $client = upgrades('with limit_rate', '/rate-limited');
    $client->subscribe('chat:rate');
    my $text = 'r' x 20_000;
    $client->must('publish', channel => 'chat:rate', data => $text) for 1 .. 20;
    is(scalar(grep { $client->event->{data} eq $text } 1 .. 20), 20, '400 kB pass, which 2 kB a second would not let through');
};

# ---- access ----

my $basic = 'Authorization: Basic ' . encode_base64('ann:secret', '');
check 'allow and deny' => sub {
    is(refused('/denied'), 403, 'denied');
    upgrades('allowed', '/allowed');
};
check 'auth_basic, with the ticket in the query' => sub {
    local @headers = grep { !/^Authorization/ } @headers;
    is(refused("/basic?ticket=$ticket"), 401, 'without a password');
    upgrades('with one', "/basic?ticket=$ticket", $basic);
    is(refused("/any?ticket=$ticket"), 401, 'satisfy any, with neither');
    upgrades('satisfy any, with one', "/any?ticket=$ticket", $basic);
};
check 'auth_request' => sub {
    is(refused('/asked'),     403, 'refused');
    upgrades('allowed', '/asked', 'Pass: yes');
    is(refused('/asked-any'), 403, 'satisfy any, with neither');
    upgrades('satisfy any, with one', '/asked-any', 'Pass: yes');
};
check 'auth_request that takes its time: what is sent meanwhile is not lost' => sub {
    my @clients = map { ask('/asked-slow?who=s', unread => 1) } 1 .. 4;
    $_->raw_send(Weft::Client::frame_bytes(text => '{"type":"ping","id":"early"}')) for @clients;
    for my $client (@clients) {
        is((answered($client))[1], 101, 'upgraded');
        is($client->next_message->{type}, 'connection_established', 'greeted');
        is($client->next_message->{id}, 'early', 'answered');
    }
};
check 'clients that go while auth_request is under way leave nothing' => sub {
    my @clients = map { ask('/asked-slow?who=t', unread => 1, behind => Weft::Client::frame_bytes(text => '{"type":"ping"}')) } 1 .. 8;
    $clients[$_]->hang_up(reset => $_ % 2) for 0 .. 7;
    nothing_left();
};

# ---- error pages ----

check "nginx's own refusals go to the error_page, Weft's say what is wrong themselves" => sub {
    like($nginx->exchange(handshake('/turned-away'))->{body}, qr/the page/, "error_page for nginx's 403");
    my @wrong = (
        [ 403, qr/Host: (?=localhost)/, "Origin: https://other.test\r\nHost: ", qr/origin/ ],
        [ 426, qr/Version: 13/,         'Version: 8',                             qr/13/ ],
        [ 400, qr/Upgrade: websocket/,  'Upgrade: h2c',                           qr/Upgrade/ ],
    );
    my $accepted = $node->status->{connections}{accepted};
    for (@wrong) {
        my ($code, $line, $wrong, $words) = @$_;
        my $answer = $nginx->exchange(handshake('/paged') =~ s/$line/$wrong/r);
        is($answer->{status}, $code, "Weft's $code");
        like($answer->{body}, $words, 'with its own words');
        unlike($answer->{body}, qr/the page/, 'and not the page');
    }
    is($node->status->{connections}{accepted}, $accepted, 'nobody is connected');
};
check 'add_header with always is in the answer' => sub {
    my (undef, $status, $head) = ask('/headers');
    is($status, 101, 'upgraded');
    like($head, qr/^X-Weft: yes\r$/m, 'the header');
};

# ---- internal redirects ----

check 'internal redirects lead into a weft_websocket location' => sub {
    is(refused('/inner/ws'), 404, 'which is internal');
    upgrades('rewrite … last',             '/rewrite');
    upgrades('try_files to a name',        '/try');
    upgrades('error_page to a path',       '/page-ws');
    upgrades('error_page to a name',       '/teapot');
    upgrades('X-Accel-Redirect',           '/accel');
    nothing_left();
};
check 'a ticket is masked in the log after a redirect, too' => sub {
    local @headers = grep { !/^Authorization/ } @headers;
    upgrades('with the ticket in the query', "/rewrite?mark=masked&ticket=$ticket");
    my ($line) = $nginx->access_lines(qr/mark=masked/);
    like($line, qr/" 101 /, 'logged');
    unlike($line, qr/\Q$ticket\E/, 'without the ticket');
};

# ---- subrequests ----

check 'a subrequest never upgrades' => sub {
    my $accepted = $node->status->{connections}{accepted};
    for my $path (qw(/by-auth-empty /by-body /by-mirror)) {
        my ($client, $status, $head) = ask($path);
        isnt($status, 101, "$path: $status");
        unlike($head, qr/Sec-WebSocket-Accept/i, 'nothing of a handshake');
        $client->hang_up;
    }
    $t->expect_in_log(qr/auth request unexpected status/);
    is($node->status->{connections}{accepted}, $accepted, 'nobody is connected');
    nothing_left();
};
check 'weft_status in a subrequest' => sub {
    my $answer = $nginx->request(GET => '/with-status/text');
    like($answer->{content}, qr/^a text\n\{"version".*\}\s*$/s, 'added to a text');
    is($nginx->request(GET => '/asks-status')->{status}, 200, 'asked by auth_request');
};
check 'weft_publish in a subrequest' => sub {
    my $ann = $node->client;
    $ann->subscribe($_) for qw(chat:copy chat:sub chat:accel);
    my $answer = $nginx->request(POST => '/copies', content => '{"copied":1}', headers => { 'Content-Type' => 'application/json' });
    is($answer->{status}, 405, 'what is copied is answered by its own location');    # empty_gif takes no POST
    is($ann->event->{data}{copied}, 1, 'and the copy is published');
    $t->expect_in_log(qr/auth request unexpected status: 405/);
    is($nginx->request(GET => '/asks-publish')->{status}, 500, 'auth_request, which is a GET, gets 405 from it');
    is(scalar(grep { $_->{type} eq 'event' } $ann->drain), 0, 'and nothing is published');
};
check 'a publication by way of an error_page' => sub {
    my $ann = $node->client;
    $ann->subscribe('chat:accel');
    my $answer = $nginx->exchange("POST /accel-pub HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 1\r\n\r\n7");
    # nginx turns the request into a GET on the way to an error_page.
    is($answer->{status}, 405, 'is refused, as nginx makes a GET of it');
};

# ---- a request that has others beside it ----

check 'mirror in front of weft_websocket' => sub {
    upgrades('a mirror that is answered at once', '/mirrored') for 1 .. 3;
    my @clients = map { ask('/mirrored-slow', unread => 1, behind => Weft::Client::frame_bytes(text => '{"type":"ping","id":"m"}')) } 1 .. 4;
    for my $client (@clients) {
        is((answered($client))[1], 101, 'a mirror that takes its time: upgraded');
        is($client->next_message->{type}, 'connection_established', 'greeted');
        is($client->next_message->{id},   'm',                      'served');
    }
    my @going = map { ask('/mirrored-slow', unread => 1) } 1 .. 6;
    answered($_) for @going;
    $going[$_]->hang_up(reset => $_ % 2) for 0 .. 5;
    $_->hang_up for @clients;
    nothing_left();
    # 499 is what it logs of a request that is cut off.
    my @copies = $nginx->access_lines(qr{/slow\?who=mirror }, 10);
    is(scalar(grep { / 200 / } @copies), 10, 'and every copy is answered to its end') or diag(@copies);
};
check 'a mirror that is cut off by the end of nginx' => sub {
    my @clients = map { ask('/mirrored-slow', unread => 1) } 1 .. 10;
    answered($_) for @clients;
    is($nginx->stop, 0, 'status 0');
};

$t->finish;
done_testing;
