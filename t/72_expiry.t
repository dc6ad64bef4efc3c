# What becomes of a connection when its ticket ends: notice, refresh, end.
use v5.30;
use warnings;
use FindBin;
use lib "$FindBin::Bin/lib";

use Test::More;
use Time::HiRes qw(time);
use Weft::Test;
use Weft::Ticket qw(ticket);

my $t    = Weft::Test->new;
my $key  = $t->key_file;
my ($example) = slurp("$FindBin::Bin/../docs/auth.md") =~ /^## Expiry and refresh\n.*?^```nginx\n(.*?)^```$/ms or die 'no example';
my $documented = $t->port;
$example =~ s/listen 8000/listen 127.0.0.1:$documented/;
$example =~ s{/etc/weft/}{@{[ $t->prefix ]}/}g;
my $node = $t->node(
    'a',
    http   => $example,
    server => "        location /strict { weft_websocket; weft_ticket key=$key leeway=0s; weft_expiry_notice off; }\n"
        . "        location /first { weft_websocket; weft_ticket key=$key leeway=1s; weft_auth_timeout 10s; weft_expiry_notice 2s; }\n"
        . "        location /user { weft_websocket; weft_user \$http_x_user; }\n",
    location => "weft_ticket key=$key leeway=1s; weft_expiry_notice 2s;",
);
my @secrets;
sub good { my $ticket = $t->ticket(@_); push @secrets, $ticket; return $ticket }
sub client { my ($exp, %more) = @_; my $path = delete $more{path} // '/ws'; return Weft::Client->join(port => $node->port, path => $path, ticket => good(exp => $exp, %more)) }

check 'a client is told ahead that its ticket ends, and closed within the leeway' => sub {
    my $exp = time + 5;
    my $ann = client($exp);
    my $notice = $ann->expect('error');
    is($notice->{payload}{code}, 4012, 'with its code');
    is($notice->{payload}{reason}, 'token_expired', 'token_expired');
    like($notice->{payload}{message}, qr/refresh/, 'which says what to do');
    cmp_ok(time, '>', $exp - 2.2, 'not before its time');
    my $close = $ann->read_close;
    is($close->{code}, 4012, 'closed with 4012');
    cmp_ok(time, '>', $exp - 0.2, 'not before the end');
    is($node->status->{connections}{expired}, 1, 'and counted');
};
check 'a refresh keeps the connection and its subscriptions' => sub {
    my $exp = time + 4;
    my $ann = client($exp);
    $ann->subscribe('chat:stay');
    $ann->expect('error');
    my $answer = $ann->call('refresh', token => good(exp => 4102444800));
    is($answer->{type}, 'refreshed', 'refreshed') or diag($answer->{raw});
    is($answer->{payload}{expires_at}, '2100-01-01T00:00:00.000Z', 'until the new ticket ends');
    ok(wait_for { $ann->is_open or die; time > $exp + 2 }, 'the first one ends');
    $node->publish('chat:stay', '7');
    is($ann->event->{data}, 7, 'and events come as before');
};
check 'a refresh that takes grants away ends what they allowed' => sub {
    my $ann = client(time + 600);
    $ann->subscribe($_) for qw(chat:stay ticker:go);
    $ann->send_json({ type => 'refresh', id => 'r', payload => { token => good(exp => time + 600, channels => { 'chat:*' => ['subscribe'] }) } });
    my $ended = $ann->expect('unsubscribed')->{payload};
    is($ended->{channel}, 'ticker:go', 'the channel that is not granted');
    is($ended->{code}, 4010, 'with 4010');
    is($ann->expect('reply', 'r')->{type}, 'refreshed', 'and refreshed');
    is($ann->call('subscribe', channel => 'ticker:go')->{payload}{code}, 4010, 'nor may it come back');
    $node->publish('ticker:go', '1');
    $node->publish('chat:stay', '2');
    is($ann->event->{data}, 2, 'the other one goes on, and only that');
    is($ann->call('publish', channel => 'chat:stay', data => 1)->{payload}{code}, 4010, 'publishing is not granted any more');
};
check 'a ticket that is not good for this is refused, and the connection goes on' => sub {
    my $ann = client(time + 600);
    my %bad = (
        'of somebody else' => good(sub => 'bob', exp => time + 600),
        'forged'           => ticket('another key, of more than 32 bytes'),
        'expired'          => good(exp => time - 60),
        'nonsense'         => 'x.y.z',
    );
    push @secrets, $bad{forged};
    my %messages;
    for my $what (sort keys %bad) {
        my $answer = $ann->call('refresh', token => $bad{$what});
        is($answer->{payload}{code}, 4002, "$what: 4002");
        ++$messages{ $answer->{payload}{message} };
    }
    is(scalar keys %messages, 1, 'all of them are told the same');
    is($ann->call('ping')->{type}, 'pong', 'it is still served');
};
check 'without leeway and notice the end comes at exp, with nothing before' => sub {
    my $exp = int(time) + 6;
    my $ann = client($exp, path => '/strict');
    my $close = $ann->read_close;
    is($close->{code}, 4012, 'closed with 4012');
    is(scalar @{ $close->{messages} }, 0, 'and told nothing before');
    cmp_ok(time, '>=', $exp, 'not before its time');
};
check 'a ticket of a first message ends, too' => sub {
    my $ann = Weft::Client->open(port => $node->port, path => '/first');
    $ann->send_json({ type => 'auth', payload => { token => good(exp => time + 3) } });
    $ann->expect('connection_established');
    is($ann->expect('error')->{payload}{code}, 4012, 'told');
    is($ann->call('refresh', token => good(exp => time + 3))->{type}, 'refreshed', 'refreshed');
    is($ann->expect('error')->{payload}{code}, 4012, 'told again');
    is($ann->read_close->{code}, 4012, 'closed');
};
check 'what came in without a ticket does not expire, and has nothing to refresh' => sub {
    my $ann = Weft::Client->join(port => $node->port, path => '/user', headers => [ 'X-User' => 'ann' ]);
    is($ann->call('refresh', token => good())->{payload}{code}, 4006, 'refused');
};
check 'the documented example takes a ticket, tells its end, and refreshes' => sub {
    my $ann = Weft::Client->join(port => $documented, protocols => 'weft.v1.json', ticket => good(exp => time + 10));
    is($ann->expect('error')->{payload}{code}, 4012, 'told at once, as less than the notice is left');
    my ($frame) = slurp("$FindBin::Bin/../docs/auth.md") =~ /^    (\{"type": "refresh".*)$/m;
    my $token = good(exp => time + 3600);
    $ann->send_text($frame =~ s/TICKET/$token/r);
    is($ann->expect('reply', '7')->{type}, 'refreshed', 'by the documented frame');
};
check 'no ticket of a frame is found in a log' => sub {
    my $text = join '', map { slurp($_) } glob("$node->{nginx}{folder}/*.log"), $node->weftd->logs;
    is(scalar(grep { index($text, $_) >= 0 } @secrets), 0, 'none of ' . @secrets);
    like($text, qr/ticket refused: /, 'though it says why some were refused');
};

$t->finish;
done_testing;
